"""Section 6: how the proxy itself stops (rule 38)."""

import signal

from harness.client import get, post
from harness.stream import eventually
from harness.upstream import echo, serve


def test_sigterm_finishes_what_is_in_flight(start):
    """Rule 38, SHOULD: no new connection, the request ends, exit status 0."""
    wire = start()
    gate = wire.upstream.gate()

    def answer(connection, request):
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")
        gate.wait(20)
        connection.send(b"half")
    wire.upstream.script = serve(answer)
    busy = wire.client()
    busy.send(get(b"/busy"))
    assert busy.read_head().status == 200
    wire.program.send_signal(wire.proxy.graceful_signal())
    eventually(lambda: not can_connect(wire.proxy), "new connections are refused")
    assert wire.program.alive(), "it left a request in flight"
    gate.set()
    assert busy.stream.read_exactly(8) == b"halfhalf"
    assert wire.program.child.wait(15) == 0


def can_connect(proxy):
    try:
        return proxy.accepts()
    except AssertionError:
        return False


def test_sigterm_ends_idle_connections(start):
    """Rule 38: they hold nothing up."""
    wire = start()
    idle = wire.client()
    assert idle.exchange(get()).status == 200
    wire.program.send_signal(wire.proxy.graceful_signal())
    idle.stream.timeout = 20
    assert idle.stream.read_to_end() == b""
    assert wire.program.child.wait(15) == 0


def test_sigterm_finishes_a_request_that_waits_for_its_answer(start):
    """Rule 38, SHOULD: also before the head of the answer."""
    wire = start()
    gate = wire.upstream.gate()

    def answer(connection, request):
        gate.wait(20)
        echo(connection, request)
    wire.upstream.script = serve(answer)
    client = wire.client()
    client.send(post(b"body", b"/wait"))
    wire.upstream.wait_for_requests(1)
    wire.program.send_signal(wire.proxy.graceful_signal())
    eventually(lambda: not can_connect(wire.proxy), "new connections are refused")
    gate.set()
    assert client.read_response(b"POST").body == b"/wait|body"
    client.expect_close()
    assert wire.program.child.wait(15) == 0


def test_shutdown_is_bounded(start):
    """Rule 38: what doesn't end within the time-out is cut."""
    wire = start(timeouts={"shutdown": "1s"})
    gate = wire.upstream.gate()

    def answer(connection, request):
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")
        gate.wait(30)
    wire.upstream.script = serve(answer)
    client = wire.client()
    client.send(get())
    client.read_head()
    wire.program.send_signal(wire.proxy.graceful_signal())
    wire.program.child.wait(15)
    gate.set()


def test_second_signal_ends_at_once(start):
    """Rule 38: a second SIGTERM doesn't wait for anybody."""
    wire = start()
    gate = wire.upstream.gate()

    def answer(connection, request):
        gate.wait(40)
        echo(connection, request)
    wire.upstream.script = serve(answer)
    client = wire.client()
    client.send(get())
    wire.upstream.wait_for_requests(1)
    wire.program.send_signal(wire.proxy.graceful_signal())
    eventually(lambda: not can_connect(wire.proxy), "new connections are refused")
    wire.program.send_signal(signal.SIGTERM)
    wire.program.child.wait(10)
    gate.set()
