"""Those who watch a graceful restart: each a `POST /v1/restart` whose lines are read one by one."""

import json

from harness.control import UnixConnection

SECONDS = 45.0


class Watcher:
    """Asks for a restart, or attaches to the one that goes on, and reads what is told."""

    def __init__(self, control, expect=200, **options):
        self.lines = []
        self.connection = UnixConnection(control.path)
        self.connection.timeout = SECONDS
        self.connection.request("POST", "/v1/restart", json.dumps(options))
        self.connection.sock.settimeout(SECONDS)
        self.response = self.connection.getresponse()
        if self.response.status != 200 or expect != 200:
            content = self.response.read()
            self.connection.close()
            assert self.response.status == expect, content
            self.refusal = json.loads(content)["error"]
        else:
            assert self.response.headers["Content-Type"] == "application/x-ndjson"

    def next(self):
        """The next line; None when there is no more."""
        line = self.response.readline()
        if not line:
            return None
        self.lines.append(json.loads(line))
        return self.lines[-1]

    def until(self, event, **members):
        """Reads on to a line with these members."""
        while (line := self.next()) is not None:
            if line["event"] == event and members.items() <= line.items():
                return line
            assert line["event"] != "finished", f"{event} {members} did not come: {self.story()}"
        raise AssertionError(f"the connection ended before {event} {members}: {self.story()}")

    def finish(self):
        """Reads to the end: the last line, with the report."""
        while (line := self.next()) is not None:
            if line["event"] == "finished":
                assert self.next() is None, self.story()
                self.close()
                assert line["exit_status"] == line["report"]["exit_status"]
                assert line["result"] == line["report"]["result"]
                return line
        raise AssertionError(f"the connection ended without a last line: {self.story()}")

    def of(self, event, **members):
        """The lines read so far with these members."""
        return [line for line in self.lines if line["event"] == event and members.items() <= line.items()]

    def close(self):
        """Looks away; the restart goes on."""
        self.response.close()
        self.connection.close()

    def story(self):
        """What was told, for the message of a failed check."""
        return "\n".join(json.dumps(line) for line in self.lines if line["event"] != "progress")


def upstreams_of(report):
    """The reports on the upstreams, by POOL/NAME."""
    return {f"{pool['pool']}/{upstream['name']}": upstream for pool in report["pools"]
            for upstream in pool["upstreams"]}


def fates_of(report):
    """What became of each upstream that was to be restarted, in the order of the restart."""
    return [upstream["fate"] for pool in report["pools"] for upstream in pool["upstreams"]]
