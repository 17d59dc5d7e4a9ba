"""Section 4: large bodies, back-pressure and streaming (rules 27 and 28)."""

import select
import threading

import pytest

from harness import content
from harness.client import get
from harness.message import chunked
from harness.stream import eventually
from harness.upstream import serve

MEBIBYTE = 1 << 20
LARGE = 64 * MEBIBYTE
GIBIBYTE = 1 << 30


def download_script(framing, size):
    """A script that answers with `size` bytes in this framing."""
    def answer(connection, request):
        if framing == "length":
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        elif framing == "chunked":
            connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        else:
            connection.send(b"HTTP/1.1 200 OK\r\n\r\n")
        for piece in (content.chunks if framing == "chunked" else content.pieces)(size):
            connection.send(piece)
        if framing == "chunked":
            connection.send(b"0\r\n\r\n")
        if framing == "close":
            connection.close()
    return serve(answer)


def upload_script(connection):
    """A script that answers with the count and the digest of what it read."""
    while (request := connection.read_head()) is not None:
        sink = content.Digest()
        connection.read_body(request, sink)
        connection.respond(200, b"%d %s" % (sink.count, sink.value().encode()))


def upload(client, framing, size):
    """Sends the head and `size` bytes of body."""
    if framing == "length":
        client.send(get(b"/up", [(b"Content-Length", b"%d" % size)], method=b"PUT"))
        for piece in content.pieces(size):
            assert client.send(piece), "the upload was cut"
    else:
        client.send(get(b"/up", [(b"Transfer-Encoding", b"chunked")], method=b"PUT"))
        for piece in content.chunks(size):
            assert client.send(piece), "the upload was cut"
        client.send(b"0\r\n\r\n")


def check_download(client, size):
    sink = content.Digest()
    client.exchange(get(b"/down"), sink=sink)
    assert (sink.count, sink.value()) == (size, content.digest(size))


def check_upload(client, framing, size):
    upload(client, framing, size)
    assert client.read_response(b"PUT").body == b"%d %s" % (size, content.digest(size).encode())


@pytest.mark.slow
@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_download_is_byte_exact_with_flat_memory(wire, framing):
    """Rule 27: 64 MiB in every framing."""
    wire.upstream.script = download_script(framing, LARGE)
    before = wire.program.resident()
    check_download(wire.client(), LARGE)
    wire.check_growth(before, 32 * MEBIBYTE)


@pytest.mark.slow
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_upload_is_byte_exact_with_flat_memory(wire, framing):
    """Rule 27: 64 MiB in every framing, and the connection can be used again."""
    wire.upstream.script = upload_script
    before = wire.program.resident()
    client = wire.client()
    check_upload(client, framing, LARGE)
    check_upload(client, framing, 1)
    wire.check_growth(before, 32 * MEBIBYTE)


@pytest.mark.slow
def test_transfers_in_parallel_are_byte_exact(wire):
    """Rule 27: uploads and downloads of every framing at the same time."""
    size = 16 * MEBIBYTE + 12345
    scripts = {b"/%s" % f.encode(): download_script(f, size) for f in ("length", "chunked", "close")}

    def answer(connection):
        while (request := connection.read_head()) is not None:
            sink = content.Digest()
            connection.read_body(request, sink)
            if request.method == b"PUT":
                connection.respond(200, b"%d %s" % (sink.count, sink.value().encode()))
                continue
            connection.stream.buffer[:0] = request.head
            scripts[request.target](connection)
            return
    wire.upstream.script = answer
    failures = []

    def run(check):
        try:
            check()
        except BaseException as failure:
            failures.append(failure)

    def download(framing):
        sink = content.Digest()
        wire.client().exchange(get(b"/" + framing.encode()), sink=sink)
        assert (sink.count, sink.value()) == (size, content.digest(size))
    jobs = [lambda f=f: download(f) for f in ("length", "chunked", "close")]
    jobs += [lambda f=f: check_upload(wire.client(), f, size) for f in ("length", "chunked")]
    threads = [threading.Thread(target=run, args=(job,), daemon=True) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(50)
        assert not thread.is_alive(), "a transfer hangs"
    assert not failures, failures


@pytest.mark.parametrize("size", [1, 2, 1023, 4095, 4096, 4097, 16383, 16384, 16385, 65535, 65536, 65537, 262144, 262145])
def test_sizes_around_buffers_are_byte_exact(wire, size):
    """Rule 27: both directions and framings, at the edges where buffers end."""
    client = wire.client()
    wire.upstream.script = upload_script
    for framing in ("length", "chunked"):
        check_upload(client, framing, size)
    wire.upstream.end_connections()
    for framing in ("length", "chunked"):
        wire.upstream.script = download_script(framing, size)
        check_download(client, size)
        wire.upstream.end_connections()


def test_many_small_chunks_are_byte_exact(wire):
    """Rule 27: forty thousand chunks of one to three bytes each way."""
    wire.upstream.script = serve(lambda connection, request: connection.send(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        + chunked([request.body[i:i + 1 + i % 3] for i in range(0, 40000, 4)])))
    body = content.BLOCK[:40000]
    client = wire.client()
    data = get(b"/x", [(b"Transfer-Encoding", b"chunked")], method=b"POST") \
        + chunked([body[i:i + 1] for i in range(len(body))])
    client.send(data)
    response = client.read_response(b"POST")
    assert response.body == b"".join(body[i:i + 1 + i % 3] for i in range(0, 40000, 4))
    assert wire.upstream.requests[0].body == body


def send_until_stalled(sock, total, piece=b"z" * 65536, bound=2.0):
    """Sends until nobody takes more for a while; how much was taken."""
    sock.setblocking(False)
    sent = 0
    while sent < total and select.select([], [sock], [], bound)[1]:
        try:
            sent += sock.send(piece)
        except BlockingIOError:
            continue
    return sent


def test_stalled_download_is_bounded(wire):
    """Rule 27: a 1 GiB answer to a client that doesn't read; total under 32 MiB."""
    taken = []

    def script(connection):
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % GIBIBYTE)
        taken.append(send_until_stalled(connection.sock, GIBIBYTE))
        connection.sock.setblocking(True)
        connection.wait_closed()
    wire.upstream.script = script
    before = wire.program.resident()
    client = wire.client(receive_buffer=65536)
    client.send(get(b"/stall"))
    eventually(lambda: taken, "upstream is stopped", 40)
    assert taken[0] < 64 * MEBIBYTE, f"{taken[0]} bytes were read ahead"
    wire.check_growth(before, 32 * MEBIBYTE)
    client.close()


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_stalled_upload_is_bounded(wire, framing):
    """Rule 27: a 1 GiB request to an upstream that doesn't read; total under 32 MiB."""
    gate = wire.upstream.gate()

    def script(connection):
        connection.read_head()
        gate.wait(40)
    wire.upstream.script = script
    before = wire.program.resident()
    client = wire.client()
    if framing == "length":
        client.send(get(b"/stall", [(b"Content-Length", b"%d" % GIBIBYTE)], method=b"POST"))
    else:
        client.send(get(b"/stall", [(b"Transfer-Encoding", b"chunked")], method=b"POST") + b"40000000\r\n")
    wire.upstream.wait_for_heads(1)
    taken = send_until_stalled(client.sock, GIBIBYTE)
    assert taken < 64 * MEBIBYTE, f"{taken} bytes were read ahead"
    wire.check_growth(before, 32 * MEBIBYTE)
    client.close()
    gate.set()


def test_stalled_clients_cost_little_each(wire):
    """Rule 27: under 1 MiB for each of fifty clients that don't read."""
    stalled = []

    def script(connection):
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % GIBIBYTE)
        stalled.append(send_until_stalled(connection.sock, GIBIBYTE, bound=1.0))
        connection.sock.setblocking(True)
        connection.wait_closed()
    wire.upstream.script = script
    wire.upstream.record_limit = 0
    before = wire.program.resident()
    clients = [wire.client(receive_buffer=32768) for _ in range(50)]
    for client in clients:
        client.send(get(b"/stall"))
    eventually(lambda: len(stalled) == 50, "every upstream connection is stopped", 40)
    wire.check_growth(before, 50 * MEBIBYTE)
    for client in clients:
        client.close()


def test_stalled_client_gets_the_rest_when_it_reads_again(wire):
    """Rule 27: back-pressure is not loss."""
    # More than the kernel keeps in all sockets on the way, of which one can grow to 32 MiB (tcp_rmem).
    size = 96 * MEBIBYTE
    stalled = []

    def answer(connection, request):
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        connection.sock.setblocking(False)
        for piece in content.pieces(size):
            while piece:
                if not select.select([], [connection.sock], [], 1)[1]:
                    stalled.append(request)
                    select.select([], [connection.sock], [], 20)
                piece = piece[connection.sock.send(piece):]
    wire.upstream.script = serve(answer)
    client = wire.client(receive_buffer=32768)
    client.send(get(b"/down"))
    client.read_head()
    eventually(lambda: stalled, "upstream is stopped", 20)
    sink = content.Digest()
    while sink.count < size:
        sink(client.stream.read_some())
    assert sink.value() == content.digest(size)


def test_head_arrives_before_the_body(wire):
    """Rule 28: nothing waits for more than is there."""
    gate = wire.upstream.gate()

    def answer(connection, request):
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")
        gate.wait(20)
        connection.send(b"body")
    wire.upstream.script = serve(answer)
    client = wire.client()
    client.send(get())
    assert client.read_head().status == 200
    assert not client.stream.buffer
    gate.set()
    assert client.stream.read_exactly(4) == b"body"


@pytest.mark.parametrize("framing", ["chunked", "length", "close"])
def test_each_event_arrives_before_the_next_is_sent(wire, framing):
    """Rule 28: server-sent events, one by one."""
    gates = [wire.upstream.gate() for _ in range(20)]

    def answer(connection, request):
        head = {"chunked": b"Transfer-Encoding: chunked\r\n", "length": b"Content-Length: 180\r\n", "close": b""}[framing]
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n" + head + b"\r\n")
        for number, gate in enumerate(gates):
            event = b"data:%02d\n\n" % number
            connection.send(b"9\r\n" + event + b"\r\n" if framing == "chunked" else event)
            gate.wait(20)
        if framing == "chunked":
            connection.send(b"0\r\n\r\n")
        if framing == "close":
            connection.close()
    wire.upstream.script = serve(answer)
    client = wire.client()
    client.send(get(b"/events"))
    client.read_head()
    seen = b""
    for number, gate in enumerate(gates):
        event = b"data:%02d\n\n" % number
        while event not in seen:
            piece = client.stream.read_some()
            assert piece, "the stream ended early"
            seen += piece
        gate.set()


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_each_part_of_an_upload_arrives_before_the_next_is_sent(wire, framing):
    """Rule 28: requests are streamed too."""
    client = wire.client()
    coding = (b"Content-Length", b"60") if framing == "length" else (b"Transfer-Encoding", b"chunked")
    client.send(get(b"/up", [coding], method=b"POST"))
    for number in range(20):
        part = b"%03d" % number
        client.send(part if framing == "length" else b"3\r\n" + part + b"\r\n")
        eventually(lambda part=part: any(part in c.stream.received.partition(b"\r\n\r\n")[2]
                                         for c in wire.upstream.connections), f"part {part} arrives")
    if framing == "chunked":
        client.send(b"0\r\n\r\n")
    assert client.read_response(b"POST").body == b"/up|" + b"".join(b"%03d" % n for n in range(20))


def test_request_and_response_run_in_parallel(wire):
    """Rule 28, SHOULD: ping-pong within one exchange."""
    def script(connection):
        request = connection.read_head()
        if request.method != b"POST":
            connection.respond(200, b"|")
            return
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        connection.read_body(request, lambda piece: connection.send(b"%x\r\n%s\r\n" % (len(piece), piece)))
        connection.send(b"0\r\n\r\n")
    wire.upstream.script = script
    client = wire.client()
    client.send(get(b"/duplex", [(b"Transfer-Encoding", b"chunked")], method=b"POST"))
    assert client.read_head().status == 200
    seen = b""
    for number in range(20):
        part = b"<%03d>" % number
        client.send(b"5\r\n" + part + b"\r\n")
        while part not in seen:
            seen += client.stream.read_some()
    client.send(b"0\r\n\r\n")
    assert client.stream.read_past(b"0\r\n\r\n", 100).endswith(b"0\r\n\r\n")
