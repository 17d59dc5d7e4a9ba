"""Section 4: large request bodies of known length, which galaxy-lb splices (rules 8, 9, 26, 27, 29, 30)."""

import hashlib
import os
import resource
import select
import threading

import pytest

from harness import content
from harness.client import get
from harness.message import Truncated
from harness.stream import StreamEnded, eventually

MEBIBYTE = 1 << 20
LARGE = 64 * MEBIBYTE


def head(size, target=b"/up", fields=(), method=b"POST"):
    return get(target, [(b"Content-Length", b"%d" % size), *fields], method=method)


def digesting(connection):
    """A script that answers with the count and the digest of what it read."""
    while (request := connection.read_head()) is not None:
        sink = content.Digest()
        connection.read_body(request, sink)
        connection.respond(200, b"%d %s" % (sink.count, sink.value().encode()))


def expected(size):
    return b"%d %s" % (size, content.digest(size).encode())


def test_requests_right_behind_large_bodies_are_read(wire):
    """Rules 9 and 27: not a byte beyond the body is taken for the body, wherever the segments end."""
    wire.upstream.script = digesting
    client = wire.client()
    sizes = [LARGE, MEBIBYTE + 1, 3, 65536, 65537, 262144, 5 * MEBIBYTE - 1, 0, 131072]

    def send():
        held = b""
        for size in sizes:
            held += head(size)
            for piece in content.pieces(size):
                held += piece
                # The next head goes out in one piece with the end of the body before it.
                if len(held) >= 2 * content.PIECE:
                    client.sock.sendall(held[:-1000])
                    held = held[-1000:]
        client.sock.sendall(held)
    client.sock.settimeout(60)
    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    for size in sizes:
        assert client.read_response(b"POST").body == expected(size)
    sender.join(30)
    assert not sender.is_alive()


def test_upstream_that_reads_slowly_gets_all(wire):
    """Rule 27: back-pressure is not loss, and what waits is bounded."""
    size = 4 * MEBIBYTE + 321
    never = wire.upstream.gate()

    def script(connection):
        request = connection.read_head()
        left, made = size, hashlib.sha256()
        while left:
            never.wait(0.01)
            piece = connection.stream.read_exactly(min(left, 40_000))
            made.update(piece)
            left -= len(piece)
        request.complete = True
        connection.respond(200, made.hexdigest().encode())
    wire.upstream.script = script
    client = wire.client()
    client.send(head(size) + b"".join(content.pieces(size)))
    client.stream.timeout = 40
    assert client.read_response(b"POST").body == content.digest(size).encode()


@pytest.mark.parametrize("closes", [True, False])
def test_early_answer_reaches_a_client_in_the_middle_of_its_body(wire, closes):
    """Rules 9 and 26: and what is left of the body is never a request."""
    size = 8 * MEBIBYTE

    def script(connection):
        connection.read_head()
        connection.stream.read_exactly(MEBIBYTE)
        connection.respond(413, b"too much", [(b"Connection", b"close")] if closes else [])
        if not closes:
            connection.wait_closed()
    wire.upstream.script = script
    client = wire.client()
    sender = threading.Thread(
        target=client.send, args=(head(size) + b"".join(content.pieces(size)),), daemon=True)
    sender.start()
    response = client.read_response(b"POST")
    assert (response.status, response.body) == (413, b"too much")
    sender.join(30)
    client.close()
    wire.upstream.script = digesting
    wire.check_forwards()


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("pace", ["reads", "stalls"])
def test_client_that_leaves_within_a_large_body_leaves_it_incomplete(wire, how, pace):
    """Rules 8 and 30: whether upstream takes it or not."""
    size = 16 * MEBIBYTE
    outcomes = []
    gate = wire.upstream.gate()

    def script(connection):
        request = connection.read_head()
        if request.target.startswith(b"/sentinel"):
            connection.read_body(request)
            connection.respond(200, b"|")
            return
        if pace == "stalls":
            gate.wait(20)
        try:
            connection.read_body(request, content.Digest())
            outcomes.append("whole")
        except (Truncated, StreamEnded, ConnectionResetError):
            outcomes.append("cut")
            raise
    wire.upstream.script = script
    client = wire.client()
    client.sock.setblocking(False)
    data = head(size) + b"".join(content.pieces(size // 2))
    while data and select.select([], [client.sock], [], 1.0)[1]:
        data = data[client.sock.send(data[:65536]):]
    {"close": client.close, "reset": client.reset}[how]()
    gate.set()
    eventually(lambda: outcomes, "upstream sees the end", 20)
    assert outcomes == ["cut"]
    eventually(wire.upstream.connections[0].gone, "the upstream request is ended", 15)
    wire.check_forwards()


def test_upstream_that_fails_within_a_large_body_is_told(wire):
    """Rule 25: nothing of it is sent again."""
    size = 16 * MEBIBYTE

    def script(connection):
        connection.read_head()
        connection.stream.read_exactly(MEBIBYTE)
        connection.reset()
    wire.upstream.script = script
    client = wire.client()
    sender = threading.Thread(
        target=client.send, args=(head(size) + b"".join(content.pieces(size)),), daemon=True)
    sender.start()
    response = client.read_response(b"POST")
    assert response.status == 502
    sender.join(30)
    assert len(wire.upstream.heads) == 1
    wire.upstream.script = digesting


def test_stalled_large_upload_is_ended(start):
    """Rule 29: inactivity in the middle of it, after some of it went through."""
    wire = start(timeouts={"request_body": "700ms"})
    client = wire.client()
    client.send(head(16 * MEBIBYTE) + b"x" * (2 * MEBIBYTE))
    response = client.read_response(b"POST")
    assert response.status == 408
    client.expect_close()
    eventually(wire.upstream.connections[0].gone, "the upstream connection is released")
    assert wire.upstream.requests == []


@pytest.mark.parametrize("tail", [1, 65536, MEBIBYTE])
def test_fast_upload_that_pauses_is_passed_on_as_it_comes(start, tail):
    """Rules 28 and 29: however fast a client was, nothing that it has sent is kept back for more."""
    wire = start(timeouts={"request_body": "3s"})
    first, size = 12 * MEBIBYTE, LARGE
    arrived, never = [], wire.upstream.gate()

    def script(connection):
        request = connection.read_head()
        for count in (first, tail, tail, size - first - 2 * tail):
            connection.stream.read_exactly(count)
            arrived.append(count)
        request.complete = True
        connection.respond(200, b"all")
        connection.read_request()
        connection.respond(200, b"next")
    wire.upstream.script = script
    client = wire.client()
    client.sock.settimeout(30)
    client.sock.sendall(head(size) + b"x" * first)
    eventually(lambda: len(arrived) == 1, "the first part arrives")
    for count in (2, 3):
        never.wait(1.0)
        client.sock.sendall(b"y" * tail)
        eventually(lambda count=count: len(arrived) == count, "the bytes after a pause arrive")
    client.sock.sendall(b"z" * (size - first - 2 * tail))
    assert client.read_response(b"POST").body == b"all"
    assert client.exchange(get(b"/next")).body == b"next"


def test_moving_large_upload_is_not_ended(start):
    """Rule 29: each piece starts the time-out anew."""
    wire = start(timeouts={"request_body": "1s"})
    wire.upstream.script = digesting
    never = wire.upstream.gate()
    client = wire.client()
    size = 2 * MEBIBYTE
    client.send(head(size))
    for piece in content.pieces(size):
        assert client.send(piece), "the upload was cut"
        never.wait(0.3)
    assert client.read_response(b"POST").body == expected(size)


def test_upstream_that_takes_nothing_of_an_upload_is_given_up(start):
    """Rule 29: the upstream is the one who is waited for then."""
    wire = start(timeouts={"response": "800ms", "request_body": "20s"})
    gate = wire.upstream.gate()

    def script(connection):
        connection.read_head()
        gate.wait(20)
    wire.upstream.script = script
    client = wire.client()
    sender = threading.Thread(target=client.send, args=(head(LARGE) + b"x" * LARGE,), daemon=True)
    sender.start()
    assert client.read_response(b"POST").status == 504
    sender.join(30)
    gate.set()


def test_expectation_holds_for_large_bodies(wire):
    """Rule 16: the client waits, and is told to go on."""
    def script(connection):
        request = connection.read_head()
        connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        sink = content.Digest()
        connection.read_body(request, sink)
        connection.respond(200, b"%d %s" % (sink.count, sink.value().encode()))
    wire.upstream.script = script
    client = wire.client()
    size = 3 * MEBIBYTE
    client.send(head(size, fields=[(b"Expect", b"100-continue")]))
    assert client.read_head().status == 100
    client.send(b"".join(content.pieces(size)))
    assert client.read_response(b"POST").body == expected(size)


@pytest.mark.slow
def test_many_stalled_uploads_go_on_when_upstream_does(wire):
    """Rules 27 and 31: more of them than there are pipes; none waits for another."""
    size = 3 * MEBIBYTE + 5
    gate = wire.upstream.gate()

    def script(connection):
        while (request := connection.read_head()) is not None:
            if request.target == b"/stalled":
                gate.wait(60)
            sink = content.Digest()
            connection.read_body(request, sink)
            connection.respond(200, b"%d %s" % (sink.count, sink.value().encode()))
    wire.upstream.script = script
    wire.upstream.record_limit = 0
    before = wire.program.resident()
    data = head(size, b"/stalled") + b"".join(content.pieces(size))
    clients = [wire.client() for _ in range(60)]
    senders = [threading.Thread(target=client.send, args=(data,), daemon=True) for client in clients]
    for sender in senders:
        sender.start()
    wire.upstream.wait_for_heads(60)
    quick = wire.client()
    quick.send(head(size) + b"".join(content.pieces(size)))
    assert quick.read_response(b"POST").body == expected(size)
    wire.check_growth(before, 32 * MEBIBYTE)
    gate.set()
    for client in clients:
        client.stream.timeout = 50
        assert client.read_response(b"POST").body == expected(size)
    for sender in senders:
        sender.join(10)


@pytest.mark.galaxy_lb
def test_uploads_without_descriptors_for_pipes_are_copied(start):
    """Rule 27: whatever limits there are."""
    wire = start()
    wire.upstream.script = digesting
    client = wire.client()
    client.exchange(head(1, method=b"PUT") + b"x")
    used = {int(number) for number in os.listdir(f"/proc/{wire.program.pid}/fd")}
    free = next(number for number in range(len(used) + 1) if number not in used)
    _, hard = resource.prlimit(wire.program.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(wire.program.pid, resource.RLIMIT_NOFILE, (free, hard))
    assert client.exchange(head(LARGE, method=b"PUT") + b"".join(content.pieces(LARGE))).body == expected(LARGE)


def test_large_upload_ends_with_the_proxy(start):
    """Rule 38: what is in flight is finished before the proxy ends."""
    wire = start()
    wire.upstream.script = digesting
    client = wire.client()
    size = 8 * MEBIBYTE
    pieces = content.pieces(size)
    client.send(head(size) + next(pieces) + next(pieces))
    wire.upstream.wait_for_heads(1)
    wire.program.send_signal(wire.proxy.graceful_signal())
    for piece in pieces:
        assert client.send(piece), "the upload was cut"
    assert client.read_response(b"POST").body == expected(size)
