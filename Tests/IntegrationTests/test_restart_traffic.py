"""What a graceful restart does to work that lasts: event streams, WebSockets, slow requests, and what it has to cut."""

import os

import pytest
from harness.client import get, post
from harness.message import Truncated
from harness.stream import StreamEnded, eventually
from restarts.deployment import POOL, Commanded
from restarts.watching import upstreams_of

pytestmark = [pytest.mark.galaxy_lb, pytest.mark.timeout(120)]

FIRST = f"{POOL}/gunicorn0"
UPGRADE = [(b"Connection", b"Upgrade"), (b"Upgrade", b"websocket"), (b"Sec-WebSocket-Version", b"13"),
           (b"Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ==")]
# More than this is an upload.
LARGE = b"x" * ((1 << 20) + 1)
GOING_AWAY = b"\x88\x02\x03\xe9"


@pytest.fixture(scope="module")
def commanded():
    deployment = Commanded(2)
    yield deployment
    deployment.end()


@pytest.fixture
def deployment(commanded):
    """Two services that run and behave."""
    commanded.reset()
    return commanded


class Front:
    """Clients of a proxy, each with work at the service that is restarted first."""

    def __init__(self, proxy):
        self.proxy = proxy
        proxy.control.post(f"/v1/upstreams/{POOL}/gunicorn1/drain")

    def send(self, data, kind):
        """Returns when the work is under way as what it is."""
        client = self.proxy.client()
        client.stream.timeout = 30
        client.send(data)
        eventually(lambda: self.in_flight(kind) > 0, f"{kind} is under way")
        return client

    def in_flight(self, kind):
        found = self.proxy.control.get(f"/v1/upstreams/{POOL}/gunicorn0")
        return found["in_flight"][kind]

    def restart(self):
        """A restart of this service alone, once the other one can serve."""
        self.proxy.control.post(f"/v1/upstreams/{POOL}/gunicorn1/ready")
        return self.proxy.restart(only=[FIRST])


@pytest.fixture
def front(deployment, proxies):
    """Makes a front of a proxy with budgets of the test's own."""
    return lambda **budgets: Front(proxies(deployment, rules={"drain": budgets}))


def until_in_flight(watcher, *kinds):
    """Reads on until the drain is seen to wait for one of each kind."""
    while True:
        line = watcher.until("progress", phase="draining")
        if all(line["in_flight"][kind] == 1 for kind in kinds):
            return


def finished(watcher):
    """The report on the one that was restarted."""
    end = watcher.finish()
    assert (end["result"], end["exit_status"]) == ("completed", 0), watcher.story()
    return upstreams_of(end["report"])[FIRST]


def mask(frame):
    """A frame as clients send them."""
    key = os.urandom(4)
    payload = bytes(byte ^ key[place % 4] for place, byte in enumerate(frame[2:]))
    return bytes([frame[0], 0x80 | frame[1]]) + key + payload


def test_an_event_stream_ends_between_events(front):
    """At once: browsers come back for the rest."""
    front = front()
    client = front.send(get(b"/events"), "event_stream")
    report = finished(front.restart())
    body = client.read_response().body
    events = body.split(b"\n\n")
    assert events[0] == b"data: first" and events[-1] == b"", body[-100:]
    assert report["waited_for"]["event_stream"] == 1 and report["cut"]["total"] == 0
    assert report["failed_requests"] == 0


def test_an_event_stream_in_the_middle_of_an_event(front, deployment):
    """It ends when the event is complete."""
    front = front()
    deployment.held_requests.touch()
    client = front.send(get(b"/half-event"), "event_stream")
    watcher = front.restart()
    until_in_flight(watcher, "event_stream")
    deployment.held_requests.unlink()
    report = finished(watcher)
    body = client.read_response().body
    assert b"data: half and half\n\n" in body and body.endswith(b"\n\n")
    assert report["cut"]["total"] == 0


def test_an_event_that_never_ends(front, deployment):
    """The stream is cut when its time is over, so that the client sees it."""
    front = front(event_stream="200ms")
    deployment.held_requests.touch()
    client = front.send(get(b"/half-event"), "event_stream")
    watcher = front.restart()
    watcher.until("phase", phase="restarting")
    with pytest.raises((StreamEnded, Truncated)):
        client.read_response()
    deployment.held_requests.unlink()
    report = finished(watcher)
    assert report["cut"]["event_stream"] == report["cut"]["total"] == 1


def open_websocket(front):
    """A WebSocket that has sent a message and got it back."""
    client = front.send(get(b"/tunnel", UPGRADE), "tunnel")
    assert client.read_head().status == 101
    client.send(mask(b"\x81\x02hi"))
    assert client.stream.read_exactly(4) == b"\x81\x02hi"
    return client


def test_a_websocket_is_closed(front):
    """With 1001, which is answered; no tunnel is cut."""
    front = front(tunnel="0s")
    client = open_websocket(front)
    watcher = front.restart()
    assert client.stream.read_exactly(4) == GOING_AWAY
    client.send(mask(GOING_AWAY))
    assert client.stream.at_end()
    report = finished(watcher)
    assert report["waited_for"]["tunnel"] == 1 and report["cut"]["total"] == 0


def test_a_websocket_that_is_not_closed(front):
    """Somebody who does not answer the Close frame is cut off."""
    front = front(tunnel="0s", tunnel_closing="200ms")
    client = open_websocket(front)
    watcher = front.restart()
    assert client.stream.read_exactly(4) == GOING_AWAY
    report = finished(watcher)
    assert client.stream.at_end()
    assert report["waited_for"]["tunnel"] == 1


def test_slow_requests_are_waited_for(front, deployment):
    """None of another kind comes to it meanwhile."""
    front = front()
    deployment.held_requests.touch()
    slow = front.send(get(b"/held"), "ordinary")
    request = post(LARGE, b"/api/echo/upload")
    upload = front.send(request[:-1000], "upload")
    watcher = front.restart()
    until_in_flight(watcher, "ordinary", "upload")
    others = front.proxy.client()
    for _ in range(5):
        assert b"g1" in others.exchange(get(b"/who")).body
    upload.send(request[-1000:])
    assert upload.read_response(b"POST").status == 200
    deployment.held_requests.unlink()
    assert slow.read_response().status == 200
    report = finished(watcher)
    assert (report["waited_for"]["ordinary"], report["waited_for"]["upload"]) == (1, 1)
    assert report["cut"]["total"] == 0 and report["failed_requests"] == 0


def test_a_request_that_takes_too_long(front, deployment):
    """It is cut with an answer, counted, and named in the report; the restart is none the worse."""
    front = front(ordinary="200ms")
    deployment.held_requests.touch()
    client = front.send(get(b"/held"), "ordinary")
    watcher = front.restart()
    assert client.read_response().status == 504
    deployment.held_requests.unlink()
    report = finished(watcher)
    assert report["cut"]["ordinary"] == report["cut"]["total"] == 1
    assert report["failed_requests"] == 1
    assert report["failures"][0]["request"] == "GET /held" and report["failures"][0]["reason"], report["failures"]


def test_an_upload_that_takes_too_long(front):
    front = front(upload="200ms")
    client = front.send(post(LARGE, b"/api/echo/cut")[:-1000], "upload")
    watcher = front.restart()
    assert client.read_response(b"POST").status in (503, 504)
    report = finished(watcher)
    assert report["cut"]["upload"] == report["cut"]["total"] == 1
    assert report["failures"][0]["request"] == "POST /api/echo/cut", report["failures"]
