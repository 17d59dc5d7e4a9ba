"""Section 4: responses of known length to clients that read slowly, which galaxy-lb splices (rules 21, 22, 27, 30)."""

import threading

import pytest

from harness import content
from harness.client import get
from harness.message import Truncated
from harness.stream import StreamEnded, eventually
from harness.upstream import serve

MEBIBYTE = 1 << 20


def answering(size, stray=b""):
    """A script that answers with `size` bytes, and what nobody asked for behind them."""
    def answer(connection, request):
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for piece in content.pieces(size):
            connection.send(piece)
        if stray:
            connection.send(stray)
    return serve(answer)


class SlowReader:
    """Asks, and takes the answer bit by bit with pauses between them."""

    def __init__(self, wire, pause, target=b"/down"):
        self.client = wire.client(receive_buffer=16384)
        self.client.stream.timeout = 40
        self.pause = pause
        self.client.send(get(target))
        self.head = self.client.read_head()

    def read(self, size, piece=200_000):
        """The digest of the next `size` bytes."""
        sink = content.Digest()
        while sink.count < size:
            self.pause.wait(0.05)
            sink(self.client.stream.read_exactly(min(piece, size - sink.count)))
        return sink.value()


def test_slow_readers_in_parallel_get_all_and_go_on(wire):
    """Rule 27: byte for byte, and the connection can be used again."""
    size = 3 * MEBIBYTE + 77
    wire.upstream.script = answering(size)
    wire.upstream.record_limit = 0
    never = wire.upstream.gate()
    before = wire.program.resident()
    readers = [SlowReader(wire, never) for _ in range(40)]
    digests = []
    threads = [threading.Thread(target=lambda r=r: digests.append(r.read(size)), daemon=True) for r in readers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(50)
    assert digests == [content.digest(size)] * 40
    wire.check_growth(before, 8 * MEBIBYTE)
    sink = content.Digest()
    readers[0].client.exchange(get(b"/down"), sink=sink)
    assert sink.value() == content.digest(size)


def test_first_large_answer_to_clients_that_take_nothing_is_left_upstream(wire):
    """Rule 27: also where the head came alone, and nothing is known of the client."""
    size = 3 * MEBIBYTE
    pause = wire.upstream.gate()

    def answer(connection, request):
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        pause.wait(0.2)
        for piece in content.pieces(size):
            connection.send(piece)
    wire.upstream.script = serve(answer)
    wire.upstream.record_limit = 0
    before = wire.program.resident()
    # Small segments, as of an Ethernet, make a small buffer of the proxy's socket.
    clients = [wire.client(receive_buffer=16384, segment=1460) for _ in range(40)]
    for client in clients:
        client.send(get(b"/down"))
    wire.upstream.wait_for_heads(len(clients))
    pause.wait(1.5)
    wire.check_growth(before, 4 * MEBIBYTE)
    clients[0].stream.timeout = 40
    sink = content.Digest()
    clients[0].read_response(sink=sink)
    assert sink.value() == content.digest(size)
    for client in clients[1:]:
        client.reset()


@pytest.mark.parametrize("how", ["close", "reset"])
def test_response_that_breaks_off_is_visibly_incomplete_to_slow_readers(wire, how):
    """Rule 21: whatever was on its way."""
    size = 4 * MEBIBYTE

    def script(connection):
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for piece in content.pieces(size - MEBIBYTE):
            connection.send(piece)
        {"close": connection.close, "reset": connection.reset}[how]()
    wire.upstream.script = script
    reader = SlowReader(wire, wire.upstream.gate())
    with pytest.raises((Truncated, StreamEnded, ConnectionResetError)):
        reader.read(size)


def test_bytes_behind_a_response_never_reach_a_slow_reader(wire):
    """Rule 22: they end the upstream connection."""
    size = 3 * MEBIBYTE
    wire.upstream.script = answering(size, stray=b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstray")
    reader = SlowReader(wire, wire.upstream.gate())
    assert reader.read(size) == content.digest(size)
    eventually(wire.upstream.connections[0].gone, "the upstream connection is ended")
    wire.upstream.script = serve(lambda connection, request: connection.respond(200, b"next"))
    reader.client.send(get(b"/next"))
    assert reader.client.read_response().body == b"next"


def test_slow_reader_that_leaves_ends_the_upstream_request(wire):
    """Rule 30: also while what it was sent stands in between."""
    wire.upstream.script = answering(64 * MEBIBYTE)
    reader = SlowReader(wire, wire.upstream.gate())
    reader.read(2 * MEBIBYTE)
    reader.client.reset()
    eventually(wire.upstream.connections[0].gone, "the upstream request is ended", 15)
