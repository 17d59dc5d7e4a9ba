"""`make run`: real gunicorns under the real Gravity behind galaxy-lb, and nothing left of them."""

import hashlib
import json
import os
import re
import signal
import socket
import subprocess

import pytest
from websockets.sync.client import connect as connect_websocket

from harness.addresses import free_port, listen
from harness.client import Client, get, post, post_chunked
from harness.process import Program, is_running
from harness.proxies import REPOSITORY
from harness.stream import eventually

START_SECONDS = 90
# gunicorn lets requests in flight end before it does.
END_SECONDS = 90

pytestmark = [pytest.mark.galaxy_lb, pytest.mark.timeout(START_SECONDS + 2 * END_SECONDS)]


class Demonstration:
    """A running `tools/demonstration`."""

    def __init__(self, folder, port):
        command = [os.path.join(REPOSITORY, "tools", "demonstration"), "--port", str(port)]
        self.program = Program(command, os.path.join(folder, "demonstration.log"))
        try:
            eventually(self._is_settled, "the demonstration serves", START_SECONDS)
            served = self._served()
            assert served, f"it ended:\n{self.program.tail()}"
            self.address = served[1]
            self.family = self.program.family()
            self.state = self._state()
        except BaseException:
            self.program.kill()
            raise

    def _served(self):
        return re.search(r"Galaxy is at http://([0-9.:]+)/ ", self.program.log().decode())

    def _is_settled(self):
        return self._served() or not self.program.alive()

    def _state(self):
        """The folder that the gunicorns run in."""
        folders = {os.readlink(f"/proc/{pid}/cwd") for pid in self.named(b"gunicorn")}
        assert len(folders) == 1, folders
        return folders.pop()

    def named(self, part):
        """The processes whose program or script has `part` in its name."""
        found = []
        for pid in self.family:
            with open(f"/proc/{pid}/cmdline", "rb") as line:
                program = line.read().split(b"\0")[:2]
            if any(part in os.path.basename(word) for word in program):
                found.append(pid)
        return found

    def client(self):
        return Client(self.address)

    def exchange(self, request):
        """One request on a connection of its own."""
        client = self.client()
        try:
            return client.exchange(request)
        finally:
            client.close()

    def check_gone(self):
        """Fails if a process, the folder or the listening socket is left."""
        assert [pid for pid in self.family if is_running(pid)] == []
        assert not os.path.exists(self.state)
        with pytest.raises(ConnectionRefusedError):
            self.client()
        assert "Everything has ended." in self.program.log().decode()
        assert "Had to end" not in self.program.log().decode(), self.program.tail()


@pytest.fixture(scope="module")
def demonstration(tmp_path_factory):
    """A demonstration that the tests of this module share."""
    running = Demonstration(tmp_path_factory.mktemp("demonstration"), free_port())
    yield running
    assert running.program.stop(signal.SIGTERM, END_SECONDS) == 0
    running.check_gone()
    assert re.search(
        r"^small load: [1-9][0-9,]* requests, 0 failed, 0 POSTs carried out twice$",
        running.program.log().decode(), re.M), running.program.tail()


def test_version(demonstration):
    """Readiness as Gravity asks for it; Galaxy doesn't answer HEAD there."""
    version = json.loads(demonstration.exchange(get(b"/api/version")).body)
    assert set(version) == {"version_major", "version_minor"}
    assert demonstration.exchange(get(b"/api/version", method=b"HEAD")).status == 404


def test_page(demonstration):
    page = demonstration.exchange(get(b"/"))
    assert page.status == 200
    assert page.value(b"content-type") == b"text/html; charset=utf-8"
    assert page.body.startswith(b"<!DOCTYPE html>")


def test_both_gunicorns_serve(demonstration):
    answers = [json.loads(demonstration.exchange(get(b"/api/request")).body) for _ in range(10)]
    assert {answer["server"] for answer in answers} == {"gunicorn0", "gunicorn1"}


def test_what_galaxy_is_told_about_the_client(demonstration):
    request = get(b"/api/request?a=%2f", [(b"X-Forwarded-For", b"192.0.2.1"), (b"Remote-User", b"admin")])
    seen = json.loads(demonstration.exchange(request).body)
    assert (seen["method"], seen["path"], seen["query"]) == ("GET", "/api/request", "a=%2f")
    fields = [(name, value) for name, value in seen["fields"]]
    assert ("host", "test.example") in fields
    assert [value.split(",")[-1].strip() for name, value in fields if name == "x-forwarded-for"] == ["127.0.0.1"]
    assert [value for name, value in fields if name == "x-forwarded-proto"] == ["http"]
    assert "remote-user" not in dict(fields)


def test_slow_request_keeps_nobody_waiting(demonstration):
    slow = demonstration.client()
    slow.send(get(b"/api/slow?seconds=2"))
    for _ in range(4):
        assert demonstration.exchange(get(b"/api/version")).status == 200
    slow.sock.setblocking(False)
    with pytest.raises(BlockingIOError):
        slow.sock.recv(1, socket.MSG_PEEK)
    assert json.loads(slow.read_response().body)["seconds"] == 2
    slow.close()


def test_graceful_restart_under_the_small_load(demonstration):
    """What the demonstration proposes to type restarts both gunicorns, and its own load loses nothing."""
    command = re.search(r"^  (\S+ --graceful --control \S+)$", demonstration.program.log().decode(), re.M)[1]
    before = set(demonstration.named(b"gunicorn"))
    result = subprocess.run(
        [os.path.join(REPOSITORY, command.split()[0]), *command.split()[1:]], stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=START_SECONDS, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "requests: 0 failed, 0 cut; downtime 0s" in result.stdout
    demonstration.family = demonstration.program.family()
    assert before.isdisjoint(demonstration.named(b"gunicorn"))
    with open(re.search(r"^report: (\S+)$", result.stdout, re.M)[1], encoding="utf-8") as report:
        assert "requests that failed" not in report.read()


@pytest.mark.parametrize("key, request_of", [
    (b"counted", post),
    (b"chunked", lambda body, target: post_chunked([body[:7], body[7:]], target)),
])
def test_post_is_carried_out_once(demonstration, key, request_of):
    target = b"/api/echo/" + key
    for count in (1, 2, 3):
        body = b"request %d \0\xff" % count
        answer = demonstration.exchange(request_of(body, target))
        assert (answer.status, answer.body) == (200, body)
        assert answer.value(b"x-executions") == b"%d" % count
    assert json.loads(demonstration.exchange(get(target)).body) == {"executions": 3}


def events_of(body):
    """The fields of each event of a stream, but those without an event."""
    blocks = body.decode().split("\n\n")
    return [dict(line.split(": ", 1) for line in block.splitlines()) for block in blocks if "data: " in block]


def test_event_stream(demonstration):
    stream = demonstration.exchange(get(b"/api/events/stream?events=3&interval=0.05"))
    assert stream.value(b"content-type") == b"text/event-stream"
    assert [event["id"] for event in events_of(stream.body)] == ["1", "2", "3"]
    again = get(b"/api/events/stream?events=2&interval=0.05", [(b"Last-Event-ID", b"3")])
    assert [event["id"] for event in events_of(demonstration.exchange(again).body)] == ["4", "5"]


def test_events_come_while_the_stream_is_open(demonstration):
    client = demonstration.client()
    client.send(get(b"/api/events/stream?interval=600"))
    client.read_head()
    assert b"id: 1\n" in client.stream.read_past(b'"number": 1}\n\n', 1 << 16)
    client.close()


def test_websocket(demonstration):
    with connect_websocket(f"ws://{demonstration.address}/api/websocket", open_timeout=20) as websocket:
        for message in ("hé", bytes(range(256)) * 1000):
            websocket.send(message)
            assert websocket.recv(timeout=20) == message


def download(size):
    """What a download of so many bytes consists of."""
    pattern = hashlib.shake_256(b"galaxy-lb demonstration").digest(1 << 18)
    return (pattern * (size // len(pattern) + 1))[:size]


@pytest.mark.parametrize("framing", [b"length", b"chunked"])
def test_download(demonstration, framing):
    size = (8 << 20) + 17
    answer = demonstration.exchange(get(b"/api/download?bytes=%d&framing=%s" % (size, framing)))
    assert answer.framing == framing.decode()
    assert hashlib.sha256(answer.body).digest() == hashlib.sha256(download(size)).digest()


@pytest.mark.parametrize("request_of", [
    lambda body, target: post(body, target, method=b"PUT"),
    lambda body, target: post_chunked([body[:100_000], body[100_000:]], target),
])
def test_upload(demonstration, request_of):
    body = download((8 << 20) + 3)
    answer = json.loads(demonstration.exchange(request_of(body, b"/api/upload")).body)
    assert answer == {"size": len(body), "sha256": hashlib.sha256(body).hexdigest()}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_everything_ends_with_an_event_stream_open(tmp_path, number):
    """What a browser that shows the page holds open."""
    demonstration = Demonstration(tmp_path, free_port())
    client = demonstration.client()
    client.send(get(b"/api/events/stream"))
    client.stream.read_past(b'"number": 1}\n\n', 1 << 16)
    assert demonstration.program.stop(number, END_SECONDS) == 0
    demonstration.check_gone()
    client.close()


def test_everything_ends_when_galaxy_lb_dies(tmp_path):
    demonstration = Demonstration(tmp_path, free_port())
    [proxy] = demonstration.named(os.path.basename(os.environ.get("GALAXY_LB", "galaxy-lb")).encode())
    os.kill(proxy, signal.SIGKILL)
    assert demonstration.program.child.wait(END_SECONDS) == 1
    assert "galaxy-lb ended by itself, killed by signal 9" in demonstration.program.log().decode()
    demonstration.check_gone()


def test_a_taken_port_is_left_to_whoever_has_it(tmp_path):
    port = free_port()
    with listen(f"127.0.0.1:{port}"):
        demonstration = Demonstration(tmp_path, port)
        assert demonstration.address != f"127.0.0.1:{port}"
        assert f"Port {port} can't be had" in demonstration.program.log().decode()
        assert demonstration.exchange(get(b"/api/version")).status == 200
        assert demonstration.program.stop(signal.SIGTERM, END_SECONDS) == 0
        demonstration.check_gone()
