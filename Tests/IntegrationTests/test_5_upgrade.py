"""Section 5: WebSocket and other upgrades (rules 32 to 34)."""

import base64
import hashlib
import os
import select
import threading

import pytest
from websockets.sync.client import connect as websocket_connect
from websockets.sync.server import serve as websocket_serve
from websockets.sync.server import unix_serve as websocket_unix_serve

from harness import content
from harness.addresses import connect, is_unix, socket_address
from harness.client import get
from harness.stream import StreamEnded, eventually
from harness.upstream import serve

MEBIBYTE = 1 << 20
KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
WEBSOCKET = [(b"Sec-WebSocket-Key", KEY), (b"Sec-WebSocket-Version", b"13")]


def handshake(target=b"/ws", upgrade=b"websocket", connection=b"Upgrade", fields=(), **rest):
    """The bytes of an opening handshake (RFC 6455 4.1)."""
    own = [(name, value) for name, value in ((b"Upgrade", upgrade), (b"Connection", connection)) if value is not None]
    return get(target, [*own, *WEBSOCKET, *fields], **rest)


def switching(key=KEY):
    """The bytes of the answer that starts a tunnel."""
    accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
    return (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")


def tunnel(then):
    """A script that answers a handshake with 101 and then runs `then`; else plain answers."""
    def script(connection):
        while (request := connection.read_request()) is not None:
            if request.values(b"Upgrade") == []:
                connection.respond(200, request.target)
                continue
            connection.send(switching())
            then(connection)
            return
    return script


def open_tunnel(wire, then, **options):
    """A client whose tunnel is open, with `then` at the other end."""
    wire.upstream.script = tunnel(then)
    client = wire.client(**options)
    client.send(handshake())
    head = client.read_head()
    assert head.status == 101
    return client


def echo_bytes(connection):
    while data := connection.stream.read_some():
        connection.send(data)


@pytest.mark.parametrize("upgrade", [b"websocket", b"WebSocket", b"WEBSOCKET"])
@pytest.mark.parametrize("option", [b"Upgrade", b"upgrade", b"UPGRADE", b"keep-alive, Upgrade", b",upgrade ,", b"x,\tUpgrade"])
def test_handshake_is_forwarded(wire, upgrade, option):
    """Rule 32: ASCII case-insensitive, list; the fields of the handshake are unchanged."""
    wire.upstream.script = tunnel(echo_bytes)
    client = wire.client()
    client.send(handshake(upgrade=upgrade, connection=option, fields=[(b"Sec-WebSocket-Protocol", b"a, b")]))
    head = client.read_head()
    assert head.status == 101
    assert head.value(b"Upgrade").lower() == b"websocket"
    assert b"upgrade" in head.tokens(b"Connection")
    assert head.value(b"Sec-WebSocket-Accept") == base64.b64encode(hashlib.sha1(KEY + GUID).digest())
    request = wire.upstream.requests[0]
    assert request.value(b"Upgrade").lower() == b"websocket"
    assert request.tokens(b"Connection") == [b"upgrade"]
    assert request.value(b"Sec-WebSocket-Key") == KEY
    assert request.value(b"Sec-WebSocket-Protocol") == b"a, b"
    client.send(b"\x00\xff raw")
    assert client.stream.read_exactly(6) == b"\x00\xff raw"


@pytest.mark.parametrize("data", [
    handshake(connection=None), handshake(connection=b"keep-alive"), handshake(upgrade=b"h2c"),
    handshake(upgrade=b"h2c", connection=b"Upgrade, HTTP2-Settings", fields=[(b"HTTP2-Settings", b"AAMAAABk")]),
    handshake(upgrade=b"TLS/1.0"), handshake(upgrade=b"web\xe2\x84\xaaocket"), handshake(upgrade=b""),
    handshake(upgrade=None), handshake(upgrade=b"websocketx"),
    handshake(version=b"1.0"), handshake(version=b"1.0", connection=b"keep-alive, Upgrade"),
])
def test_other_upgrade_is_not_forwarded(wire, data):
    """Rules 32, 33: without both fields, for h2c or others, or from HTTP/1.0: plain HTTP."""
    client = wire.client()
    response = client.exchange(data)
    request = wire.upstream.wait_for_requests(1)[0]
    assert request.values(b"Upgrade") == [] and b"upgrade" not in request.tokens(b"Connection")
    assert request.values(b"HTTP2-Settings") == []
    assert response.status == 200
    if b"HTTP/1.0" not in data:
        assert client.exchange(get(b"/next")).body == b"/next|"


@pytest.mark.parametrize("data", [
    handshake(connection=None), handshake(upgrade=b"h2c"), handshake(version=b"1.0"), get(),
])
def test_101_to_what_was_no_websocket_request_is_502(wire, data):
    """Rules 17, 32: a tunnel needs both sides to have agreed."""
    def answer(connection, request):
        connection.send(switching() + b"tunnelled")
    wire.upstream.script = serve(answer)
    client = wire.client()
    response = client.exchange(data)
    assert response.status == 502
    assert b"tunnelled" not in response.body + client.stream.buffer


@pytest.mark.parametrize("status", [200, 400, 403, 404, 426, 500, 304])
def test_other_answer_leaves_an_http_connection(wire, status):
    """Rule 32: what follows is parsed as HTTP (RFC 9110 7.8)."""
    def answer(connection, request):
        if request.values(b"Upgrade"):
            connection.send(b"HTTP/1.1 %d No\r\n" % status + (b"\r\n" if status == 304 else b"Content-Length: 2\r\n\r\nno"))
        else:
            connection.respond(200, request.target, [(b"Host-Seen", request.value(b"Host"))])
    wire.upstream.script = serve(answer)
    client = wire.client()
    assert client.exchange(handshake()).status == status
    assert client.exchange(get(b"/next")).body == b"/next"
    client.send(b"\x81\x05frame\r\n\r\n")
    assert client.read_response().status == 400


def test_200_with_upgrade_fields_starts_no_tunnel(wire):
    """Rule 32: only 101 does."""
    def answer(connection, request):
        connection.respond(200, b"plain", [(b"Upgrade", b"websocket"), (b"Connection", b"upgrade")])
    wire.upstream.script = serve(answer)
    client = wire.client()
    for _ in range(2):
        assert client.exchange(handshake()).body == b"plain"


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_handshake_with_a_body_does_not_desynchronise(wire, framing):
    """Rule 32: the body is the body, whatever upstream answers."""
    def answer(connection, request):
        connection.respond(200, request.target + b"|" + request.body)
    wire.upstream.script = serve(answer)
    client = wire.client()
    body = get(b"/smuggled")
    if framing == "length":
        client.send(handshake(fields=[(b"Content-Length", b"%d" % len(body))], method=b"POST") + body + get(b"/next"))
    else:
        client.send(handshake(fields=[(b"Transfer-Encoding", b"chunked")], method=b"POST")
                    + b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n" + get(b"/next"))
    response = client.read_response(b"POST")
    if response.status != 200:
        assert response.status in (400, 501)
        client.expect_close()
        return
    assert response.body == b"/ws|" + body
    assert client.read_response().body == b"/next|"


def test_bytes_behind_the_handshake_wait_for_the_answer(wire):
    """Rule 32: a request pipelined behind a refused handshake is a request."""
    def answer(connection, request):
        connection.respond(403 if request.values(b"Upgrade") else 200, request.target)
    wire.upstream.script = serve(answer)
    client = wire.client()
    client.send(handshake() + get(b"/pipelined"))
    assert client.read_response().status == 403
    assert client.read_response().body == b"/pipelined"


def test_bytes_in_the_segment_of_the_101_pass(wire):
    """Rule 34: in the direction of the client."""
    def answer(connection, request):
        connection.send(switching() + b"\x81\x05hello")
        echo_bytes(connection)
        connection.close()
    wire.upstream.script = serve(answer)
    client = wire.client()
    client.send(handshake())
    assert client.read_head().status == 101
    assert client.stream.read_exactly(7) == b"\x81\x05hello"
    client.send(b"back")
    assert client.stream.read_exactly(4) == b"back"


def test_bytes_in_the_segment_of_the_handshake_pass(wire):
    """Rule 34: in the direction of upstream, after its 101."""
    wire.upstream.script = tunnel(echo_bytes)
    client = wire.client()
    client.send(handshake() + b"\x81\x85early")
    assert client.read_head().status == 101
    assert client.stream.read_exactly(7) == b"\x81\x85early"


def test_every_byte_passes_unchanged(wire):
    """Rule 34: nothing in a tunnel looks like HTTP to the proxy."""
    client = open_tunnel(wire, echo_bytes)
    for data in (bytes(range(256)), b"\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n", get(), b"0\r\n\r\n", b"\x00" * 1000):
        client.send(data)
        assert client.stream.read_exactly(len(data)) == data


def test_tunnel_byte_by_byte(wire):
    """Rule 34: each byte goes as it comes."""
    client = open_tunnel(wire, echo_bytes)
    for number in range(200):
        byte = bytes([number])
        client.send(byte)
        assert client.stream.read_exactly(1) == byte


def test_both_directions_at_once(wire):
    """Rule 34: 8 MiB each way, at the same time, byte-exact."""
    size = 8 * MEBIBYTE
    received = []

    def both(connection):
        def push():
            for piece in content.pieces(size):
                connection.send(piece)
        pusher = threading.Thread(target=push, daemon=True)
        pusher.start()
        sink = content.Digest()
        while sink.count < size:
            sink(connection.stream.read_exactly(min(65536, size - sink.count)))
        pusher.join(20)
        received.append(sink.value())
    client = open_tunnel(wire, both)

    def push():
        for piece in content.pieces(size):
            client.send(piece)
    pusher = threading.Thread(target=push, daemon=True)
    pusher.start()
    sink = content.Digest()
    while sink.count < size:
        sink(client.stream.read_exactly(min(65536, size - sink.count)))
    pusher.join(20)
    eventually(lambda: received, "upstream has read all")
    assert sink.value() == received[0] == content.digest(size)


def test_bytes_before_a_close_are_delivered_to_the_client(wire):
    """Rule 34: upstream sends a megabyte and closes."""
    def send_and_close(connection):
        for piece in content.pieces(MEBIBYTE):
            connection.send(piece)
        connection.close()
    client = open_tunnel(wire, send_and_close)
    data = client.stream.read_to_end()
    assert hashlib.sha256(data).hexdigest() == content.digest(MEBIBYTE)


def test_bytes_before_a_close_are_delivered_to_upstream(wire):
    """Rule 34: the client sends a megabyte and closes."""
    received = []
    client = open_tunnel(wire, lambda connection: received.append(connection.stream.read_to_end()))
    for piece in content.pieces(MEBIBYTE):
        client.send(piece)
    client.close()
    eventually(lambda: received, "upstream sees the end")
    assert hashlib.sha256(received[0]).hexdigest() == content.digest(MEBIBYTE)


def test_half_close_of_the_client_is_passed_on(wire):
    """Rule 34: what upstream still sends after it arrives."""
    def answer_after_end(connection):
        data = connection.stream.read_to_end()
        connection.send(b"got %d" % len(data))
    client = open_tunnel(wire, answer_after_end)
    client.send(b"x" * 100)
    client.shutdown_write()
    assert client.stream.read_to_end() == b"got 100"


@pytest.mark.parametrize("how", ["close", "reset"])
def test_end_of_the_client_reaches_upstream(wire, how):
    """Rule 34: promptly, a reset too."""
    client = open_tunnel(wire, lambda connection: connection.wait_closed())
    {"close": client.close, "reset": client.reset}[how]()
    eventually(wire.upstream.connections[0].gone, "upstream sees the end")


@pytest.mark.parametrize("how", ["close", "reset"])
def test_end_of_upstream_reaches_the_client(wire, how):
    """Rule 34: promptly, a reset too."""
    client = open_tunnel(wire, lambda connection: {"close": connection.close, "reset": connection.reset}[how]())
    assert client.stream.read_to_end() == b""


def test_stalled_tunnel_is_bounded(wire):
    """Rule 27: back-pressure in tunnels."""
    taken = []

    def push(connection):
        connection.sock.setblocking(False)
        sent = 0
        while sent < 1 << 30 and select.select([], [connection.sock], [], 1.5)[1]:
            sent += connection.sock.send(b"z" * 65536)
        taken.append(sent)
        connection.sock.setblocking(True)
        connection.wait_closed()
    before = wire.program.resident()
    client = open_tunnel(wire, push, receive_buffer=65536)
    eventually(lambda: taken, "upstream is stopped", 40)
    assert taken[0] < 64 * MEBIBYTE
    wire.check_growth(before, 32 * MEBIBYTE)
    client.close()


def test_http_time_outs_do_not_apply_to_a_tunnel(start):
    """Rule 34: only the tunnel's own."""
    wire = start(timeouts={"request_head": "500ms", "request_body": "500ms", "keep_alive": "500ms", "response": "500ms"})
    never = wire.upstream.gate()
    client = open_tunnel(wire, echo_bytes)
    never.wait(2)
    client.send(b"still here")
    assert client.stream.read_exactly(10) == b"still here"


def test_silent_tunnel_ends_after_its_own_time_out(start):
    """Rule 29: a tunnel's peer that has vanished doesn't hold it for ever."""
    wire = start(timeouts={"tunnel": "1s"})
    client = open_tunnel(wire, lambda connection: connection.wait_closed())
    client.stream.timeout = 20
    assert client.stream.read_to_end() == b""
    eventually(wire.upstream.connections[0].gone, "upstream is released")


def test_many_tunnels_at_once(wire):
    """Rules 31, 34: two hundred, each with its own bytes."""
    wire.upstream.script = tunnel(echo_bytes)
    clients = [wire.client() for _ in range(200)]
    for client in clients:
        client.send(handshake())
    for client in clients:
        assert client.read_head().status == 101
    for number, client in enumerate(clients):
        client.send(b"%04d" % number)
    for number, client in enumerate(clients):
        assert client.stream.read_exactly(4) == b"%04d" % number


def test_real_websocket_client_and_server(start, kind):
    """Rule 34: messages of all sizes, ping and the closing handshake, with a library at both ends."""
    address = start.address()

    def handler(socket):
        for message in socket:
            socket.send(message)
    if is_unix(address):
        server = websocket_unix_serve(handler, address[5:], max_size=None, compression=None)
    else:
        server = websocket_serve(handler, *socket_address(address)[1], max_size=None, compression=None)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        wire = start(upstreams=0, addresses=[address])
        uri = f"ws://{wire.proxy.address}/chat"
        with websocket_connect(uri, sock=connect(wire.proxy.address), max_size=None, proxy=None) as socket:
            for size in (0, 1, 125, 126, 65535, 65536, 2 * MEBIBYTE):
                message = os.urandom(size)
                socket.send(message)
                assert socket.recv(10) == message
            socket.send("text \u2764")
            assert socket.recv(10) == "text \u2764"
            assert socket.ping().wait(10)
        assert socket.protocol.close_code == 1000
    finally:
        server.shutdown()
        thread.join(10)


def test_upstream_that_closes_in_the_handshake_is_502(wire):
    """Rule 24: the client gets an answer."""
    def script(connection):
        connection.read_head()
    wire.upstream.script = script
    try:
        assert wire.client().exchange(handshake()).status in (502, 503, 504)
    except StreamEnded:
        pytest.fail("closed without an answer")
