"""Section 3: upstream that fails, and what is sent again (rules 24 to 26)."""

import os
import socket
import threading

import pytest

from harness.addresses import is_unix, socket_address
from harness.client import get, post, post_chunked
from harness.message import chunked
from harness.stream import StreamEnded, eventually
from harness.upstream import echo, serve

GATEWAY_ERRORS = (502, 503, 504)


def close_at_once(connection):
    """A script that closes before it reads."""


def close_after_head(connection):
    connection.read_head()


def reset_after_head(connection):
    connection.read_head()
    connection.reset()


def test_missing_upstream_is_answered(start, kind):
    """Rule 24: no socket file, or nobody on the port."""
    missing = start.address()
    wire = start(upstreams=0, addresses=[missing])
    for method in (b"GET", b"POST", b"HEAD"):
        client = wire.client()
        response = client.exchange(get(method=method, fields=[(b"Content-Length", b"0")]))
        assert response.status in GATEWAY_ERRORS
        if method == b"HEAD":
            assert response.body == b"" and client.exchange(get()).status in GATEWAY_ERRORS


@pytest.mark.parametrize("place", ["refused", "not a socket", "folder", "through a file"])
def test_unusable_unix_path_is_answered(start, kind, folder, place):
    """Rule 24: a socket nobody listens on, a plain file, a folder, a path through a file."""
    if kind != "unix":
        pytest.skip("unix sockets only")
    path = f"{folder}/odd"
    if place == "refused":
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(path)
    elif place == "folder":
        os.mkdir(path)
    else:
        with open(path, "w", encoding="ascii") as file:
            file.write("plain")
        if place == "through a file":
            path += "/below.sock"
    wire = start(upstreams=0, addresses=[f"unix:{path}"])
    for _ in range(3):
        assert wire.client().exchange(get()).status in GATEWAY_ERRORS


def test_error_answer_is_well_formed_and_keeps_the_connection_in_step(start):
    """Rule 24: small, with a length, and the client may go on."""
    wire = start(upstreams=0, addresses=[start.address()])
    client = wire.client()
    for method in (b"GET", b"HEAD", b"GET"):
        response = client.exchange(get(method=method))
        assert response.status in GATEWAY_ERRORS
        assert len(response.head) + len(response.body) < 4096
        if b"close" in response.tokens(b"Connection"):
            client.expect_close()
            client = wire.client()


@pytest.mark.parametrize("script", [close_at_once, close_after_head, reset_after_head])
@pytest.mark.parametrize("method", [b"GET", b"POST", b"HEAD"])
def test_close_without_an_answer_is_answered(wire, script, method):
    """Rule 24: 502, and the error to HEAD has no body."""
    wire.upstream.script = script
    client = wire.client()
    client.send(get(method=method, fields=[(b"Content-Length", b"0")]))
    assert client.read_response(method).status in GATEWAY_ERRORS
    client.close()
    wire.upstream.end_connections()
    wire.upstream.script = serve(echo)
    eventually(lambda: wire.client().exchange(get()).status == 200, "the upstream is used again")


def test_no_answer_within_the_time_out_is_504(start):
    """Rule 24: and the upstream connection is released."""
    wire = start(timeouts={"response": "700ms"})
    gate = wire.upstream.gate()

    def script(connection):
        connection.read_request()
        connection.wait_closed()
        gate.set()
    wire.upstream.script = script
    assert wire.client().exchange(post(b"x")).status == 504
    assert gate.wait(10), "the upstream connection is still open"


def test_full_backlog_that_never_moves_is_answered(start):
    """Rules 24, 37: EAGAIN (unix) or a silent SYN (TCP) until the connect time-out."""
    wire = start(backlog=0, timeouts={"connect": "1s"})
    upstream = wire.upstream
    upstream.stop()
    family, place = socket_address(upstream.address)
    fillers = []
    with socket.socket(family, socket.SOCK_STREAM) as full:
        full.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        full.bind(place)
        full.listen(0)
        for _ in range(6):
            filler = socket.socket(family, socket.SOCK_STREAM)
            filler.setblocking(False)
            filler.connect_ex(place)
            fillers.append(filler)
        assert wire.client().exchange(get()).status in GATEWAY_ERRORS
        for filler in fillers:
            filler.close()
    if is_unix(upstream.address):
        os.unlink(place)


def test_unsent_request_of_any_method_moves_to_another_upstream(start):
    """Rule 25: no client error while one upstream is down."""
    dead = start.address()
    wire = start(upstreams=1, addresses=[dead])
    for number in range(30):
        response = wire.client().exchange(post(b"x", b"/%d" % number))
        assert (response.status, response.body) == (200, b"/%d|x" % number)


@pytest.mark.parametrize("data", [post(b"hello"), post_chunked([b"hel", b"lo"]), get(method=b"POST"),
                                  post(b"x", method=b"PATCH"), post(b"x", method=b"LOCKIT")])
@pytest.mark.parametrize("failure", [close_after_head, reset_after_head])
def test_received_post_is_never_sent_again(start, data, failure):
    """Rule 25: upstream may have acted on it; there is no way to know."""
    first, second = start(upstreams=2)
    first.upstream.script = second.upstream.script = failure
    client = first.client()
    client.send(data)
    try:
        assert client.read_response(b"POST").status in GATEWAY_ERRORS
    except StreamEnded:
        pass
    first.upstream.script = second.upstream.script = serve(echo)
    eventually(lambda: first.client().exchange(get(b"/after")).status == 200, "service goes on")
    heads = [r for r in first.upstream.heads + second.upstream.heads if r.method != b"GET"]
    assert len(heads) == 1


def test_received_get_is_sent_to_the_other_upstream(start):
    """Rule 25, SHOULD: idempotent ones are retried."""
    first, second = start(upstreams=2)
    first.upstream.script = close_after_head
    for number in range(10):
        assert first.client().exchange(get(b"/%d" % number)).body == b"/%d|" % number


def test_retries_are_bounded(start):
    """Rule 25: a request that kills every upstream doesn't go round for ever."""
    wires = start(upstreams=3)
    for wire in wires:
        wire.upstream.script = close_after_head
    assert wires[0].client().exchange(get()).status in GATEWAY_ERRORS
    assert sum(len(wire.upstream.heads) for wire in wires) <= 6


def test_post_is_not_sent_again_after_a_time_out(start):
    """Rule 25: neither after a time-out."""
    first, second = start(upstreams=2, timeouts={"response": "500ms"})
    for wire in (first, second):
        wire.upstream.script = lambda connection: (connection.read_request(), connection.wait_closed())
    assert first.client().exchange(post(b"once")).status == 504
    assert len(first.upstream.heads + second.upstream.heads) == 1


def close_second(connection):
    """A script that answers one request, and closes after it has read another."""
    request = connection.read_request()
    echo(connection, request)
    connection.read_request()


def test_post_on_a_reused_connection_that_ends_is_not_sent_again(wire):
    """Rule 25: the EOF may mean that it was executed (RFC 9112 9.3.1)."""
    wire.upstream.script = close_second
    client = wire.client()
    assert client.exchange(get(b"/1")).status == 200
    response = client.exchange(post(b"once", b"/2"))
    posts = [r for r in wire.upstream.heads if r.method == b"POST"]
    assert len(posts) == 1
    assert response.status in GATEWAY_ERRORS or len(wire.upstream.connections) == 2
    client.close()


def test_get_on_a_reused_connection_that_ends_is_sent_again(wire):
    """Rule 25, SHOULD: a kept connection may close any time; clients needn't see it."""
    wire.upstream.script = close_second
    client = wire.client()
    for number in range(6):
        assert client.exchange(get(b"/%d" % number)).body == b"/%d|" % number


def test_post_after_upstream_closed_the_idle_connection_succeeds(wire):
    """Rules 22, 25: a FIN that has arrived is seen before the connection is used again."""
    client = wire.client()
    for number in range(5):
        assert client.exchange(get(b"/%d" % number)).status == 200
        wire.upstream.end_connections()
        assert client.exchange(post(b"x", b"/p%d" % number)).body == b"/p%d|x" % number


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("status", [200, 413, 500])
def test_answer_during_the_upload_reaches_the_client(wire, framing, status):
    """Rule 26: upstream answers when it has seen enough, and closes."""
    def script(connection):
        request = connection.read_head()
        if request.method != b"POST":
            connection.respond(200, b"|")
            return
        connection.stream.read_exactly(3)
        connection.respond(status, b"seen enough", [(b"Connection", b"close")])
    wire.upstream.script = script
    client = wire.client()
    size = 8 << 20
    if framing == "length":
        head = get(fields=[(b"Content-Length", b"%d" % size)], method=b"POST")
        pieces = [b"x" * 65536] * (size // 65536)
    else:
        head = get(fields=[(b"Transfer-Encoding", b"chunked")], method=b"POST")
        pieces = [chunked([b"x" * 65536])[:-5]] * (size // 65536)
    client.send(head)

    def upload():
        for piece in pieces:
            if not client.send(piece):
                return
    sender = threading.Thread(target=upload, daemon=True)
    sender.start()
    response = client.read_response(b"POST")
    assert (response.status, response.body) == (status, b"seen enough")
    sender.join(20)
    assert not sender.is_alive(), "the rest of the upload is neither read nor refused"


def test_answer_to_an_upload_that_upstream_does_not_read(wire):
    """Rule 26: the answer passes while the upload stands still."""
    gate = wire.upstream.gate()

    def script(connection):
        request = connection.read_head()
        if request.method == b"POST":
            connection.respond(507, b"full")
            gate.wait(20)
        else:
            connection.respond(200, b"|")
    wire.upstream.script = script
    client = wire.client()
    client.send(get(fields=[(b"Content-Length", b"%d" % (64 << 20))], method=b"POST"))
    client.sock.setblocking(False)
    try:
        while True:
            client.sock.send(b"x" * 65536)
    except (BlockingIOError, BrokenPipeError, ConnectionResetError):
        pass
    assert client.read_response(b"POST").status == 507
    gate.set()


def test_listener_that_is_gone_and_back_is_used_again(start, kind):
    """Rules 24, 35: the path is connected to anew each time; a new inode is found."""
    wire = start()
    assert wire.client().exchange(get(b"/1")).status == 200
    wire.upstream.stop()
    assert wire.client().exchange(get(b"/2")).status in GATEWAY_ERRORS
    wire.upstream.listen()
    eventually(lambda: wire.client().exchange(get(b"/3")).status == 200, "it is used again")
