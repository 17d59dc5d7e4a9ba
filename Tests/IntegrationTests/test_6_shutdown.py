"""Section 6: how the proxy itself stops (rule 38)."""

import signal
import threading
import time

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect as websocket_connect
from websockets.sync.server import serve as websocket_serve
from websockets.sync.server import unix_serve as websocket_unix_serve

from harness.addresses import connect, is_unix, socket_address
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
    except (AssertionError, ConnectionResetError):
        # The listener closes while the connection is being made.
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


@pytest.mark.galaxy_lb
def test_sigterm_serves_who_has_just_connected(start):
    """A connection without a byte yet is no idle one: its client is about to send. It isn't waited for for long."""
    wire = start()
    about_to_send, silent = wire.client(), wire.client()
    # Both are accepted: a loop serves its connections in order.
    eventually(lambda: wire.client().exchange(get()).status == 200, "the proxy has accepted them")
    wire.program.send_signal(wire.proxy.graceful_signal())
    eventually(lambda: not can_connect(wire.proxy), "new connections are refused")
    response = about_to_send.exchange(get(b"/first"))
    assert (response.status, response.value(b"connection")) == (200, b"close")
    assert silent.stream.read_to_end() == b""
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


@pytest.mark.parametrize("framing", [b"Transfer-Encoding: chunked", b"Connection: close"])
def test_event_streams_end_between_two_events(start, framing):
    """Rule 38: a stream that would last for ever ends with a complete event, and is well framed."""
    wire = start()
    gate = wire.upstream.gate()

    def frame(data):
        return b"%x\r\n%s\r\n" % (len(data), data) if b"chunked" in framing else data

    def event(number):
        return b"data: %d\n\n" % number

    def answer(connection, request):
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n" + framing + b"\r\n\r\n")
        connection.send(frame(event(1) + b"data: 2"))
        gate.wait(20)
        connection.send(frame(b"\n"))
        # Each event comes in two pieces, as long as someone listens: a loop of the proxy may learn of the stop only
        # after another one has closed the listener.
        number = 3
        while connection.is_silent(0.05):
            connection.send(frame(b"\ndata: %d" % number))
            connection.send(frame(b"\n"))
            number += 1
        connection.wait_closed()
    wire.upstream.script = serve(answer)
    client = wire.client()
    client.send(get(b"/events"))
    head = client.read_head()
    while b"data: 2" not in client.stream.buffer:
        assert client.stream.fill()
    wire.program.send_signal(wire.proxy.graceful_signal())
    eventually(lambda: not can_connect(wire.proxy), "new connections are refused")
    gate.set()
    body = client.read_body(head).body
    events = body.count(b"\n\n")
    assert events >= 2
    assert body == b"".join(event(number) for number in range(1, events + 1))
    assert wire.program.child.wait(15) == 0


def test_silent_event_stream_does_not_hold_the_stop_up(start):
    """Rule 38: nothing has begun, so nothing is lost."""
    wire = start()

    def answer(connection, request):
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        connection.wait_closed()
    wire.upstream.script = serve(answer)
    client = wire.client()
    client.send(get(b"/events"))
    wire.upstream.wait_for_requests(1)
    wire.program.send_signal(wire.proxy.graceful_signal())
    assert client.read_response(b"GET").body == b""
    assert wire.program.child.wait(15) == 0


def test_sigterm_closes_websockets(start):
    """Rule 38: both ends are told with a Close frame (RFC 6455 7.4.1), and nothing is left to wait for."""
    address = start.address()
    codes = []

    def handler(socket):
        for text in socket:
            socket.send(text)
        codes.append(socket.protocol.close_code)
    if is_unix(address):
        server = websocket_unix_serve(handler, address[5:])
    else:
        server = websocket_serve(handler, *socket_address(address)[1])
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        wire = start(upstreams=0, addresses=[address])
        uri = f"ws://{wire.proxy.address}/chat"
        with websocket_connect(uri, sock=connect(wire.proxy.address), proxy=None) as socket:
            socket.send("before")
            assert socket.recv(10) == "before"
            wire.program.send_signal(wire.proxy.graceful_signal())
            with pytest.raises(ConnectionClosed) as closed:
                socket.recv(10)
            assert closed.value.rcvd.code == 1001
        assert wire.program.child.wait(15) == 0
        eventually(lambda: codes == [1001], "the server is told")
    finally:
        server.shutdown()
        thread.join(10)


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


@pytest.mark.galaxy_lb
def test_signals_at_the_very_end_change_nothing(start):
    """What was stopped in order has stopped in order, also for whoever sends SIGTERM until it is gone."""
    wire = start()
    deadline = time.monotonic() + 15
    while wire.program.child.poll() is None and time.monotonic() < deadline:
        wire.program.send_signal(signal.SIGTERM)
        time.sleep(0.0002)
    assert wire.program.child.wait(1) == 0
