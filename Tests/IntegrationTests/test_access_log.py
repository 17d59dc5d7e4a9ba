"""The access log of the built binary: formats, reasons, hostile bytes, rotation, full disks, stopping."""

import json
import os
import re
import signal
import subprocess
import threading

import pytest

from harness.client import get, post
from harness.message import Truncated
from harness.proxies import GalaxyLB, Setup
from harness.stream import StreamEnded, eventually
from harness.upstream import Upstream, serve, serve_bytes
from harness.wire import Wire

pytestmark = pytest.mark.galaxy_lb

COMBINED = re.compile(
    r'(?P<remote_addr>\S+) - - \[(?P<time>\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\] '
    r'"(?P<request>[^"]*)" (?P<status>\d{3}) (?P<body_bytes_sent>\d+) "(?P<referer>[^"]*)" '
    r'"(?P<user_agent>[^"]*)" host="(?P<host>[^"]*)" pool=(?P<pool>\S+) upstream=(?P<upstream>\S+) '
    r'to_upstream=(?P<to_upstream>\S+) to_first_byte=(?P<to_first_byte>\S+) total=(?P<total>\S+) '
    r'held=(?P<held>\S+) bytes_received=(?P<bytes_received>\d+) bytes_sent=(?P<bytes_sent>\d+) '
    r'retries=(?P<retries>\d+) request_id=(?P<request_id>\S+) reason=(?P<reason>[a-z_0-9]+)')
KEYS = ["time", "remote_addr", "request", "status", "body_bytes_sent", "referer", "user_agent", "host",
        "pool", "upstream", "to_upstream", "to_first_byte", "total", "held", "bytes_received", "bytes_sent",
        "retries", "request_id", "reason"]


class Logging(GalaxyLB):
    """galaxy-lb with an access log."""

    def __init__(self, setup, folder, destination, form):
        self.destination = destination
        self.form = form
        super().__init__(setup, folder)

    def command(self):
        binary = super().command()[0]
        return [binary, "--config", self.write("galaxy-lb.yml", self.configuration())]

    def configuration(self):
        return (super().configuration()
                + f'access_log: {{destination: "{self.destination}", format: {self.form}}}\n')

    def read(self, path=None):
        """The whole lines of the log, each of them checked; bytes behind the last newline are a fault."""
        with open(path or self.destination, "rb") as file:
            text = file.read()
        assert text == b"" or text.endswith(b"\n"), text[-200:]
        return [self.parse(line) for line in text.decode("ascii").split("\n")[:-1]]

    def parse(self, line):
        assert line.isprintable(), line
        if self.form == "json":
            value = json.loads(line)
            assert list(value) == KEYS
            return value
        match = COMBINED.fullmatch(line)
        assert match, line
        return match.groupdict()

    def events(self):
        return self.program.log().decode("utf-8", "replace")


class Place:
    """What a test starts: proxies with an access log and one upstream each, ended after it."""

    def __init__(self, folder):
        self.folder = folder
        self.wires = []

    def __call__(self, form="json", destination=None, upstream=True, **settings):
        number = len(self.wires)
        address = f"unix:{self.folder}/u{number}.sock"
        made = Upstream(address) if upstream else None
        path = destination or f"{self.folder}/access{number}.log"
        proxy = Logging(Setup([address], **settings), f"{self.folder}/p{number}", path, form)
        wire = Wire(proxy, made)
        self.wires.append(wire)
        return wire

    def finish(self):
        for wire in self.wires:
            for client in wire.clients:
                client.close()
            if wire.upstream:
                wire.upstream.stop()
            if wire.program.alive():
                wire.program.check_alive()
                wire.proxy.stop()

    def abandon(self):
        for wire in self.wires:
            wire.program.kill()
            for client in wire.clients:
                client.close()
            if wire.upstream:
                wire.upstream.close_listener()
                wire.upstream.drop_connections()


@pytest.fixture
def logging(folder):
    place = Place(folder)
    try:
        yield place
        place.finish()
    except BaseException:
        place.abandon()
        raise


def lines(wire, count):
    """The log when it has so many lines."""
    eventually(lambda: os.path.exists(wire.proxy.destination)
               and open(wire.proxy.destination, "rb").read().count(b"\n") >= count, f"{count} lines")
    found = wire.proxy.read()
    assert len(found) == count, found
    return found


@pytest.mark.parametrize("form", ["combined", "json"])
def test_a_request_is_a_line(logging, form):
    wire = logging(form)
    wire.upstream.script = serve_bytes(b"HTTP/1.1 201 Made\r\nContent-Length: 5\r\n\r\nhello")
    client = wire.client()
    request = post(b"content", b"/a?b=%20c", [(b"Referer", b"https://a.example/"), (b"User-Agent", b"t/1 (x)")])
    response = client.exchange(request)
    entry = lines(wire, 1)[0]
    seen = wire.upstream.requests[0]
    text = {key: str(value) for key, value in entry.items()}
    assert text["remote_addr"] == "127.0.0.1"
    assert text["request"] == "POST /a?b=%20c HTTP/1.1"
    assert (text["status"], text["body_bytes_sent"]) == ("201", "5")
    assert (text["referer"], text["user_agent"]) == ("https://a.example/", "t/1 (x)")
    assert (text["host"], text["pool"], text["upstream"]) == ("test.example", "main", "u0")
    assert text["request_id"] == seen.value(b"X-Request-Id").decode()
    assert text["bytes_received"] == str(len(request))
    assert text["bytes_sent"] == str(len(response.head) + 5)
    assert (text["retries"], text["reason"], float(text["held"])) == ("0", "completed", 0)
    assert 0 <= float(text["to_upstream"]) <= float(text["to_first_byte"]) <= float(text["total"]) < 60
    assert all(re.fullmatch(r"\d+\.\d{6}", text[key]) for key in ("to_upstream", "total")) or form == "json"


@pytest.mark.parametrize("form", ["combined", "json"])
def test_hostile_bytes_stay_in_their_field(logging, form):
    wire = logging(form)
    hostile = b'x" 200 0 "-" "\\\t\xff\xc3\xa9 {"status":200} \x80\xe2\x80\xa8 reason=completed'
    fields = [(b"User-Agent", hostile), (b"Referer", hostile)]
    assert wire.client().exchange(get(b'/"\\\xff\xe2\x80\xae', fields)).status == 200
    entry = lines(wire, 1)[0]
    quote = '"' if form == "json" else "\\x22"

    def shown(value):
        return "".join(quote if byte == 0x22 else
                       chr(byte) if 0x20 <= byte < 0x7F and byte != 0x5C else f"\\x{byte:02X}" for byte in value)
    assert entry["user_agent"] == entry["referer"] == shown(hostile)
    assert entry["request"] == shown(b'GET /"\\\xff\xe2\x80\xae HTTP/1.1')
    assert entry["reason"] == "completed"


REJECTED = [
    (b"GET / HTTP/1.1\r\n\r\n", 400, "rejected_missing_host", "GET / HTTP/1.1"),
    (b"\x16\x03\x01\x00\"\x00\r\n", 400, "rejected_malformed_request_line", '\\x16\\x03\\x01\\x00"\\x00'),
    (b"GET /" + b"x" * 20000 + b" HTTP/1.1\r\n\r\n", 414, "rejected_request_line_too_long",
     "GET /" + "x" * 8187),
    (get(fields=[(b"X", b"x" * 70000)]), 431, "rejected_head_too_large", "GET / HTTP/1.1"),
    (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 405, "rejected_connect_method", "CONNECT a:1 HTTP/1.1"),
    (get(version=b"2.0"), 505, "rejected_unsupported_version", "GET / HTTP/2.0"),
]


@pytest.mark.parametrize("data,status,reason,shown", REJECTED, ids=[str(case[2]) for case in REJECTED])
def test_a_rejected_request_is_a_line(logging, data, status, reason, shown):
    wire = logging()
    response = wire.client().exchange(data, b"GET")
    assert response.status == status
    entry = lines(wire, 1)[0]
    assert (entry["status"], entry["reason"], entry["request"]) == (status, reason, shown)
    assert entry["body_bytes_sent"] == len(response.body) > 0
    assert entry["bytes_sent"] == len(response.head) + len(response.body)
    assert entry["upstream"] is entry["total"] is entry["request_id"] is None


def test_a_body_too_large_is_a_line(logging):
    wire = logging(limits={"request_body": "1KiB"})
    assert wire.client().exchange(post(b"x" * 2000)).status == 413
    entry = lines(wire, 1)[0]
    assert (entry["status"], entry["reason"], entry["upstream"]) == (413, "rejected_body_too_large", None)


def test_a_head_that_does_not_come_is_a_line_and_an_idle_end_is_none(logging):
    wire = logging(timeouts={"request_head": "300ms", "keep_alive": "300ms"}, threads=1)
    idle = wire.client()
    idle.expect_close()
    slow = wire.client()
    slow.send(b"GET /slow HTTP/1.1\r\nHost")
    assert slow.read_response().status == 408
    gone = wire.client()
    gone.send_pieces([b"GET /gone HTTP/1.1\r\n"])
    gone.close()
    assert [(entry["request"], entry["status"], entry["reason"]) for entry in lines(wire, 2)] == [
        ("GET /slow HTTP/1.1", 408, "client_timed_out"), ("GET /gone HTTP/1.1", 499, "client_left")]


def test_a_client_that_leaves_is_the_reason(logging):
    wire = logging()
    gate = wire.upstream.gate()
    wire.upstream.script = serve(lambda connection, request: gate.wait(20))
    client = wire.client()
    client.send(get(b"/left"))
    wire.upstream.wait_for_requests(1)
    client.reset()
    entry = lines(wire, 1)[0]
    gate.set()
    assert (entry["status"], entry["reason"], entry["bytes_sent"]) == (499, "client_left", 0)
    assert entry["upstream"] == "u0" and entry["to_first_byte"] is None


ANSWERS = [
    (None, 502, "upstream_closed_before_answer"),
    (b"HTTP/1.1 2x0 OK\r\n\r\n", 502, "upstream_malformed_response"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", 200, "upstream_truncated_response"),
    (b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", 500, "completed"),
]


@pytest.mark.parametrize("answer,status,reason", ANSWERS, ids=[case[2] for case in ANSWERS])
def test_an_upstream_that_fails_is_the_reason(logging, answer, status, reason):
    wire = logging()

    def script(connection):
        connection.read_request()
        if answer:
            connection.send(answer)
    wire.upstream.script = script
    try:
        assert wire.client().exchange(post(b"x")).status == status
    except (Truncated, StreamEnded):
        assert reason == "upstream_truncated_response"
    entry = lines(wire, 1)[0]
    assert (entry["status"], entry["reason"]) == (status, reason)


def test_an_upstream_that_times_out_and_one_that_is_not_there_are_the_reason(logging):
    slow = logging(timeouts={"response": "300ms"})
    gate = slow.upstream.gate()
    slow.upstream.script = serve(lambda connection, request: gate.wait(20))
    assert slow.client().exchange(post(b"x")).status == 504
    assert lines(slow, 1)[0]["reason"] == "upstream_timed_out"
    gate.set()
    missing = logging(upstream=False)
    assert missing.client().exchange(get()).status in (502, 503)
    entry = lines(missing, 1)[0]
    assert entry["reason"] == "upstream_unreachable" and entry["to_upstream"] is None


def test_retries_are_counted(logging):
    wire = logging()

    def script(connection):
        while request := connection.read_request():
            if request.target == b"/again" and connection.number == 0:
                return
            connection.respond(200, b"fine")
    wire.upstream.script = script
    client = wire.client()
    assert client.exchange(get(b"/once")).status == client.exchange(get(b"/again")).status == 200
    assert len(wire.upstream.requests) == 3
    assert [(entry["retries"], entry["reason"]) for entry in lines(wire, 2)] == [(0, "completed"), (1, "completed")]


def test_a_tunnel_is_a_line_when_it_ends(logging):
    wire = logging()

    def script(connection):
        connection.read_head()
        connection.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
        connection.send(connection.stream.read_exactly(4))
    wire.upstream.script = script
    client = wire.client()
    fields = [(b"Connection", b"upgrade"), (b"Upgrade", b"websocket")]
    assert client.exchange(get(fields=fields)).status == 101
    client.send(b"ping")
    assert client.stream.read_exactly(4) == b"ping"
    client.expect_close()
    entry = lines(wire, 1)[0]
    assert (entry["status"], entry["reason"], entry["body_bytes_sent"]) == (101, "tunnel_closed", 4)


def test_the_given_request_id_of_a_trusted_proxy_is_logged(logging):
    wire = logging(form="combined", trusted_proxies=["127.0.0.1"])
    wire.client().exchange(get(fields=[(b"X-Request-Id", b"a=b\\c")]))
    assert lines(wire, 1)[0]["request_id"] == "a=b\\x5Cc"


def test_standard_error_takes_it_too(logging):
    wire = logging(destination="stderr")
    wire.client().exchange(get(b"/to-stderr"))
    found = eventually(lambda: re.search(r'^\{.*"request":"GET /to-stderr HTTP/1.1".*\}$', wire.proxy.events(),
                                         re.MULTILINE), "the line is on standard error")
    assert wire.proxy.parse(found[0])["status"] == 200


class Load:
    """Clients that send numbered requests until they are told to stop; each answer is checked."""

    def __init__(self, wire, clients=4):
        self.wire = wire
        self.ended = threading.Event()
        self.counts = [0] * clients
        self.faults = []
        self.threads = [threading.Thread(target=self.run, args=(number,), daemon=True)
                        for number in range(clients)]
        for thread in self.threads:
            thread.start()

    def run(self, number):
        try:
            client = self.wire.client()
            while not self.ended.is_set():
                response = client.exchange(get(b"/%d/%d" % (number, self.counts[number])))
                assert response.status == 200
                self.counts[number] += 1
        except (AssertionError, StreamEnded, OSError) as fault:
            self.faults.append(repr(fault))

    def wait_for(self, count):
        start = sum(self.counts)
        eventually(lambda: self.faults or sum(self.counts) >= start + count, f"{count} more answers", 30)

    def stop(self):
        self.ended.set()
        for thread in self.threads:
            thread.join(20)
        assert not self.faults, self.faults
        return {f"GET /{number}/{place} HTTP/1.1"
                for number, count in enumerate(self.counts) for place in range(count)}


def test_rotation_under_load_and_a_stop_lose_no_line(logging):
    wire = logging(threads=2)
    path = wire.proxy.destination
    load = Load(wire)
    for number in range(5):
        load.wait_for(200)
        os.rename(path, f"{path}.{number}")
        wire.program.send_signal(signal.SIGUSR1)
        eventually(lambda: os.path.exists(path), "the file is made anew")
    load.wait_for(200)
    expected = load.stop()
    # Right behind the last answer: what is not written yet must be written by the stop.
    wire.upstream.stop()
    wire.proxy.stop()
    logged = [entry["request"] for name in [f"{path}.{number}" for number in range(5)] + [path]
              for entry in wire.proxy.read(name)]
    assert len(logged) == len(expected)
    assert set(logged) == expected
    assert os.stat(path).st_mode & 0o777 & ~0o640 == 0
    assert wire.proxy.events().count("access log reopened") == 5


def test_a_full_disk_stalls_nobody_and_what_is_lost_is_told(logging, folder):
    path = f"{folder}/full.log"
    os.symlink("/dev/full", path)
    wire = logging(destination=path)
    client = wire.client()
    long = b"/" + b"\xff" * 8000
    count = 300
    # Each line is 40 kB when it is escaped, so this is more than may wait.
    for _ in range(count):
        assert client.exchange(get(long)).status == 200
    eventually(lambda: "can't be written" in wire.proxy.events(), "the fault is told")
    os.unlink(path)
    wire.program.send_signal(signal.SIGUSR1)
    lost = eventually(lambda: re.search(r"access log lines lost lines=(\d+)", wire.proxy.events()),
                      "what was lost is told")
    assert client.exchange(get(b"/after")).status == 200
    client.close()
    wire.upstream.stop()
    wire.proxy.stop()
    events = wire.proxy.events()
    assert events.count("can't be written") == 1 and events.count("is written again") == 1
    logged = wire.proxy.read()
    assert logged[-1]["request"] == "GET /after HTTP/1.1"
    assert 0 < int(lost[1]) and len(logged) - 1 + int(lost[1]) == count


def test_a_stop_on_a_full_disk_says_what_is_lost(logging):
    wire = logging(destination="/dev/full")
    client = wire.client()
    for _ in range(20):
        assert client.exchange(get()).status == 200
    client.close()
    wire.upstream.stop()
    wire.proxy.stop()
    assert re.search(r"access log lines lost lines=20\b", wire.proxy.events())


def test_a_blocked_pipe_stalls_nobody(logging, folder):
    path = f"{folder}/pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        wire = logging(destination=path)
        client = wire.client()
        for _ in range(100):
            assert client.exchange(get(b"/" + b"\xff" * 2000)).status == 200
        client.close()
        wire.upstream.stop()
        # The pipe takes 64 KiB and nobody reads it: the stop waits a bounded time, then says what is lost.
        wire.proxy.stop()
        lost = int(re.search(r"access log lines lost lines=(\d+)", wire.proxy.events())[1])
        text = b""
        while piece := os.read(reader, 1 << 20):
            text += piece
        assert 0 < lost < 100
        assert text.count(b"\n") + lost == 100
    finally:
        os.close(reader)


def test_a_reload_applies_a_changed_access_log(logging, folder):
    wire = logging()
    client = wire.client()
    client.exchange(get(b"/first"))
    first, wire.proxy.destination, wire.proxy.form = wire.proxy.destination, f"{folder}/next.log", "combined"

    def reload():
        told = wire.proxy.events().count("configuration reloaded")
        wire.proxy.write("galaxy-lb.yml", wire.proxy.configuration())
        wire.program.send_signal(signal.SIGHUP)
        eventually(lambda: wire.proxy.events().count("configuration reloaded") == told + 1, "it is reloaded")
    reload()
    # The worker takes it over within its next turns.
    eventually(lambda: client.exchange(get(b"/second")).status == 200
               and os.path.getsize(wire.proxy.destination) > 0, "lines are in the new file", interval=0.05)
    wire.proxy.destination = "off"
    reload()
    client.close()
    wire.upstream.stop()
    wire.proxy.stop()
    assert {entry["request"] for entry in wire.proxy.read(f"{folder}/next.log")} == {"GET /second HTTP/1.1"}
    wire.proxy.form = "json"
    assert wire.proxy.read(first)[0]["request"] == "GET /first HTTP/1.1"


def test_a_log_that_cannot_be_opened_is_said_at_the_start(logging, folder):
    wire = logging()
    wire.proxy.destination = f"{folder}/missing/access.log"
    wire.proxy.address = f"unix:{folder}/other.sock"
    configuration = wire.proxy.write("other.yml", wire.proxy.configuration())
    binary = wire.proxy.command()[0]
    ended = subprocess.run([binary, "--config", configuration], capture_output=True, text=True, timeout=20, check=False)
    assert ended.returncode == 1
    assert "cannot open the access log" in ended.stderr and "No such file" in ended.stderr
