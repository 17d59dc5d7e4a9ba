"""Section 2: Expect: 100-continue and interim answers (rules 16 and 17)."""

import pytest

from harness.client import get, post
from harness.message import chunked, response_bytes
from harness.stream import StreamEnded
from harness.upstream import serve, serve_bytes

EXPECT = (b"Expect", b"100-continue")


def expecting(body, fields=(), value=b"100-continue", version=b"1.1"):
    """The head of a POST that waits for 100 before it sends `body`."""
    return get(b"/expect", [(b"Content-Length", b"%d" % len(body)), (b"Expect", value), *fields],
               method=b"POST", version=version)


@pytest.mark.parametrize("value", [b"100-continue", b"100-Continue", b"100-CONTINUE"])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_waiting_client_gets_100_when_upstream_sends_it(wire, framing, value):
    """Rule 16: exactly one 100, then the body, then the final answer."""
    def script(connection):
        while (request := connection.read_head()) is not None:
            if request.values(b"Expect"):
                connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            connection.read_body(request)
            connection.respond(200, request.body)
    wire.upstream.script = script
    client = wire.client()
    if framing == "length":
        client.send(expecting(b"hello", value=value))
    else:
        client.send(get(b"/expect", [(b"Transfer-Encoding", b"chunked"), (b"Expect", value)], method=b"POST"))
    assert client.read_head().status == 100
    client.send(b"hello" if framing == "length" else chunked([b"hello"]))
    response = client.read_response(b"POST")
    assert (response.status, response.body, response.interim) == (200, b"hello", [])


def test_waiting_client_gets_100_when_upstream_ignores_expect(wire):
    """Rule 16, SHOULD: upstream that reads and says nothing doesn't make the client wait."""
    client = wire.client()
    client.send(expecting(b"hello"))
    assert client.read_head().status == 100
    client.send(b"hello")
    assert client.read_response(b"POST").body == b"/expect|hello"
    assert client.exchange(get(b"/next")).body == b"/next|"


def test_impatient_client_may_send_the_body_at_once(wire):
    """Rule 16: head and body in one segment; a 100 before the answer is allowed."""
    client = wire.client()
    response = client.exchange(post(b"hello", b"/e", [EXPECT]))
    assert response.body == b"/e|hello"
    assert [head.status for head in response.interim] in ([], [100])
    assert client.exchange(get(b"/next")).body == b"/next|"


@pytest.mark.parametrize("status", [200, 401, 403, 413, 417, 500])
def test_final_answer_in_place_of_100_is_delivered(wire, status):
    """Rule 16: the client then needs not send the body; its bytes are never a request."""
    def script(connection):
        while (request := connection.read_head()) is not None:
            if request.method == b"POST":
                connection.respond(status, b"no thanks")
                connection.close()
                return
            connection.read_body(request)
            connection.respond(200, request.target)
    wire.upstream.script = script
    body = get(b"/smuggled") * 10
    client = wire.client()
    client.send(expecting(body))
    response = client.read_response(b"POST")
    assert (response.status, response.body) == (status, b"no thanks")
    client.send(body + get(b"/after"))
    try:
        assert client.read_response().body == b"/after"
    except StreamEnded:
        pass
    client.close()
    wire.check_forwards()
    wire.check_nothing_smuggled()


def test_client_that_keeps_its_body_after_a_final_answer_may_go_on(wire):
    """Rules 9, 16: unless the proxy closes, what comes next can only be the body."""
    def script(connection):
        while (request := connection.read_head()) is not None:
            if request.method == b"POST":
                connection.respond(403, b"no")
                connection.close()
                return
            connection.read_body(request)
            connection.respond(200, request.target)
    wire.upstream.script = script
    client = wire.client()
    client.send(expecting(b"x" * 40))
    assert client.read_response(b"POST").status == 403
    client.send(get(b"/smuggled", host=b"a"))
    client.stream.timeout = 3
    try:
        status = client.read_head().status
        assert status >= 400, f"{status}: body bytes were taken for a request"
    except StreamEnded:
        pass
    except AssertionError as silence:
        assert "nothing in" in str(silence)
    client.close()
    wire.check_forwards()
    wire.check_nothing_smuggled()


def test_no_100_to_http_1_0(wire):
    """Rule 16: an HTTP/1.0 client can't understand it."""
    client = wire.client()
    client.send(expecting(b"hello", version=b"1.0") + b"hello")
    response = client.read_response(b"POST")
    assert (response.status, response.interim, response.body) == (200, [], b"/expect|hello")


def test_unknown_expectation_is_forwarded_or_refused(wire):
    """Rule 16: 417, or left to upstream (RFC 9110 10.1.1)."""
    client = wire.client()
    client.send(post(b"hello", b"/e", [(b"Expect", b"miracles")]))
    assert client.read_response(b"POST").status in (200, 417)


def test_expect_without_a_body_needs_no_100(wire):
    """Rule 16: there is nothing to wait for."""
    client = wire.client()
    response = client.exchange(get(b"/none", [EXPECT]))
    assert response.body == b"/none|"
    assert client.exchange(get(b"/next")).body == b"/next|"


def test_expect_through_upstream_that_closes_is_answered(wire):
    """Rules 16, 24: the client that waits gets 100 or a final status, never silence."""
    def script(connection):
        connection.read_head()
        connection.close()
    wire.upstream.script = script
    client = wire.client()
    client.send(expecting(b"hello"))
    head = client.read_head()
    if head.status == 100:
        client.send(b"hello")
        head = client.read_response(b"POST")
    assert head.status in (502, 503, 504)
    client.close()
    wire.upstream.clear()


def test_early_hints_are_forwarded_as_interim(wire):
    """Rule 17: 103, then the final answer, and the connection stays in step."""
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"

    def answer(connection, request):
        connection.send(hints + response_bytes(200, request.target))
    wire.upstream.script = serve(answer)
    client = wire.client()
    for number in range(3):
        response = client.exchange(get(b"/%d" % number))
        assert [(h.status, h.value(b"Link")) for h in response.interim] == [(103, b"</style.css>; rel=preload")]
        assert (response.status, response.body) == (200, b"/%d" % number)


def test_interim_answer_arrives_before_the_final_one(wire):
    """Rules 17, 28: it is not held back."""
    gate = wire.upstream.gate()

    def answer(connection, request):
        connection.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        gate.wait(20)
        connection.respond(200, b"late")
    wire.upstream.script = serve(answer)
    client = wire.client()
    client.send(get())
    assert client.read_head().status == 103
    gate.set()
    assert client.read_response().body == b"late"


@pytest.mark.parametrize("statuses", [[102], [103, 103], [102, 103, 110], [199], [100], [100, 103]])
def test_any_interim_answers_keep_the_connection_in_step(wire, statuses):
    """Rule 17: any number of 1xx, known or not; a 100 nobody waits for may be dropped."""
    interim = b"".join(b"HTTP/1.1 %d Interim\r\nX-Test: %d\r\n\r\n" % (s, s) for s in statuses)

    def answer(connection, request):
        connection.send(interim + response_bytes(200, request.target))
    wire.upstream.script = serve(answer)
    client = wire.client()
    for number in range(3):
        response = client.exchange(get(b"/%d" % number))
        assert response.body == b"/%d" % number
        assert [h.status for h in response.interim if h.status != 100] == [s for s in statuses if s != 100]


def test_hop_by_hop_fields_of_an_interim_answer_are_removed(wire):
    """Rules 13, 17: interim heads are heads."""
    wire.upstream.script = serve_bytes(
        b"HTTP/1.1 103 Early Hints\r\nConnection: X-Test-Gone\r\nX-Test-Gone: 1\r\nKeep-Alive: x\r\nLink: </a>\r\n\r\n"
        + response_bytes(200, b"ok"))
    response = wire.client().exchange(get())
    assert response.body == b"ok"
    for head in response.interim:
        assert head.values(b"X-Test-Gone") == [] and head.values(b"Keep-Alive") == []


@pytest.mark.parametrize("fields", [b"", b"Upgrade: websocket\r\nConnection: upgrade\r\n", b"Upgrade: foo\r\n"])
def test_101_nobody_asked_for_is_502(wire, fields):
    """Rule 17: no tunnel starts."""
    wire.upstream.script = serve_bytes(b"HTTP/1.1 101 Switching Protocols\r\n" + fields + b"\r\nraw bytes")
    client = wire.client()
    response = client.exchange(get())
    assert response.status == 502
    assert b"raw bytes" not in response.body


def test_endless_interim_answers_are_bounded(wire):
    """Rules 17, 39: upstream that only ever sends 1xx doesn't hold a client for ever, or grow memory."""
    def script(connection):
        connection.read_request()
        try:
            for _ in range(200000):
                connection.send(b"HTTP/1.1 103 Early Hints\r\nX-Test: 1\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            return
        connection.respond(200, b"at last")
    wire.upstream.script = script
    before = wire.program.resident()
    client = wire.client()
    try:
        assert client.exchange(get()).status in (200, 502)
    except StreamEnded:
        pass
    wire.check_growth(before, 8 << 20)
