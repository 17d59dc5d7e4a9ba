"""HUPs to the only gunicorn, whose uvicorn workers close their connections when they are told to end."""

import time

import pytest
from harness.client import get
from harness.stream import eventually
from restarts.gunicorn import Gunicorn
from restarts.load import Load
from restarts.watching import upstreams_of

pytestmark = [pytest.mark.galaxy_lb, pytest.mark.timeout(300)]

APPLICATION = """
import asyncio
import json
import os
import time
from galaxy.version import VERSION_MAJOR, VERSION_MINOR

while os.path.exists("g0.hold-boot"):
    time.sleep(0.02)

async def application(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    content, more = b"", True
    while more:
        message = await receive()
        content += message.get("body", b"")
        more = message.get("more_body", False)
    path = scope["path"]
    if path == "/api/version":
        content = json.dumps({"version_major": VERSION_MAJOR, "version_minor": VERSION_MINOR}).encode()
    if scope["method"] == "POST":
        with open("executed", "ab", buffering=0) as file:
            file.write(path.encode() + b"\\n")
    await asyncio.sleep(0.002)
    if path == "/events":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        held = True
        while held:
            held = os.path.exists("hold-requests")
            await send({"type": "http.response.body", "body": b"data: more\\n\\n", "more_body": True})
            await asyncio.sleep(0.05)
        return await send({"type": "http.response.body", "body": b""})
    headers = [(b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})
"""
RESTARTS = 10


class Asynchronous(Gunicorn):
    application = APPLICATION

    def __init__(self, workers, source):
        self.source = source
        super().__init__(workers, ("--worker-class", "uvicorn_worker.UvicornWorker", "--graceful-timeout", "10"))

    @property
    def service(self):
        return super().service | ({"pid_file": str(self.folder / "g0.pid")} if self.source == "pid_file" else {})


@pytest.fixture(params=[(2, "listener"), (2, "pid_file"), (4, "pid_file")], ids=lambda param: f"{param[0]}-{param[1]}")
def gunicorn(request):
    deployment = Asynchronous(*request.param)
    yield deployment
    deployment.end()


def test_no_post_is_lost(gunicorn, proxies):
    """Nor executed twice, on kept connections from several clients."""
    proxy = proxies(gunicorn)
    load = Load(proxy.address, clients=8)
    load.wait_for(100)
    for _ in range(RESTARTS):
        master, workers, new = gunicorn.pid(0), gunicorn.workers(), gunicorn.deploy()
        command = proxy.control.command("--graceful")
        assert command.returncode == 0, command
        (report,) = upstreams_of(proxy.last_report()).values()
        assert report["version_after"] == new and report["failed_requests"] == 0, report
        assert gunicorn.pid(0) == master and not set(workers) & set(gunicorn.workers())
        load.wait_for(100)
    load.finish()
    executed = [path.rpartition("/")[2] for path in gunicorn.executed()]
    assert sorted(executed) == sorted(load.keys)


def test_streams_stay(gunicorn, proxies):
    """The old worker ends what it has, while new requests are served; nothing is ended or cut."""
    proxy = proxies(gunicorn)
    gunicorn.held_requests.touch()
    client = proxy.client()
    client.send(get(b"/events"))
    head = client.read_head()
    new = gunicorn.deploy()
    watcher = proxy.restart()
    watcher.until("phase", phase="restarting")
    other = proxy.client()
    assert other.exchange(get(b"/api/version")).status == 200
    eventually(lambda: gunicorn.answered(0) == new, "the new workers answer", 20)
    gunicorn.held_requests.unlink()
    assert client.read_body(head).body.endswith(b"data: more\n\n")
    end = watcher.finish()
    assert (end["result"], end["exit_status"]) == ("completed", 0), watcher.story()
    (report,) = upstreams_of(end["report"]).values()
    assert report["cut"]["total"] == 0 and report["waited_for"]["event_stream"] == 1


def test_nothing_is_held_until_the_new_workers_have_booted(gunicorn, proxies):
    """All that come meanwhile wait in the socket, and are answered, though no probe is for so long."""
    proxy = proxies(gunicorn, pool={"health": {"timeout": "100ms", "interval": "100ms"}})
    load = Load(proxy.address, clients=40)
    load.wait_for(100)
    gunicorn.knob(0, "hold-boot").touch()
    watcher = proxy.restart()
    watcher.until("phase", phase="awaiting_readiness")
    proxy.wait_for_in_flight(40)
    time.sleep(1)
    (upstream,) = proxy.control.get("/v1/upstreams")["upstreams"]
    assert upstream["operational"] == "up"
    assert proxy.control.get("/v1/status")["pools"][0]["hold"]["waiting"] == 0
    gunicorn.knob(0, "hold-boot").unlink()
    end = watcher.finish()
    load.finish()
    assert (end["result"], end["exit_status"]) == ("completed", 0), watcher.story()
    executed = [path.rpartition("/")[2] for path in gunicorn.executed()]
    assert sorted(executed) == sorted(load.keys)
