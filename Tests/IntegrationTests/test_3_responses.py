"""Section 3: what upstream answers, good and bad (rules 20 to 23)."""

import pytest

from harness.client import get
from harness.message import Truncated, chunked, response_bytes
from harness.stream import StreamEnded, eventually
from harness.upstream import echo, serve, serve_bytes

KIBIBYTE = 1024


def bad_answer(data, close=True):
    """A script that answers `/bad` with these bytes, and all else as it should be."""
    def answer(connection, request):
        if request.target == b"/bad":
            connection.send(data)
            if close:
                connection.close()
        else:
            echo(connection, request)
    return serve(answer)


def check_serves_on(wire):
    """The next requests get their own answers."""
    for number in range(2):
        assert wire.client().exchange(get(b"/%d" % number)).body == b"/%d|" % number


BAD_HEADS = [
    b"", b"\r\n", b"garbage\r\n\r\n", b"HTTP/1.1\r\n\r\n", b"HTTP/1.1 \r\n\r\n", b"HTTP/1.1 20 OK\r\n\r\n",
    b"HTTP/1.1 2000 OK\r\n\r\n", b"HTTP/1.1 abc OK\r\n\r\n", b"HTTP/1.1 +20 OK\r\n\r\n", b"HTTP/1.1 2 0 OK\r\n\r\n",
    b"HTTP/1.1 099 OK\r\n\r\n", b"HTTP/1.1 000 OK\r\n\r\n", b"HTTP/2 200 OK\r\n\r\n", b"HTTP/2.0 200 OK\r\n\r\n",
    b"ICY 200 OK\r\n\r\n", b"http/1.1 200 OK\r\n\r\n", b"HTTP/1.1 \xd9\xa2\xd9\xa0\xd9\xa0 OK\r\n\r\n", b"HTTP/1.x 200 OK\r\n\r\n",
    b"HTTP/1.1 200\x00 OK\r\n\r\n", b"HTTP/1.1 200 O\x00K\r\n\r\n", b"HTTP/1.1 200 O\rK\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nNo colon\r\n\r\n", b"HTTP/1.1 200 OK\r\n: empty\r\n\r\n", b"HTTP/1.1 200 OK\r\nA: \x00\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n", b"HTTP/1.1 200 OK\r\nN\x00: b\r\n\r\n", b"HTTP/1.1 200 OK\r\nN\xc3\xa4: b\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nA b: c\r\n\r\n", b"HTTP/1.1 200 OK\r\nA(: c\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", b"SSH-2.0-x\r\n",
    b"HTTP/1.1 200 OK\r\n\xe2\x84\xaa: c\r\n\r\n", b"HTTP/1.1 200OK\r\n\r\n", b"HTTP/1.1\t200\tOK\r\n\r\n",
    b"200 OK\r\n\r\n", b"HTTP/1.1 200 OK", b"HTTP/1.1 200 OK\r\nA: b", b"HTTP/1.1 200 OK\r\nA: b\r\n", b"HTT",
]


@pytest.mark.parametrize("head", BAD_HEADS)
def test_malformed_response_head_is_502(wire, head):
    """Rule 20: malformed bytes are never relayed, and the next request is served."""
    wire.upstream.script = bad_answer(head)
    client = wire.client()
    response = client.exchange(get(b"/bad"))
    assert response.status == 502
    check_serves_on(wire)


@pytest.mark.parametrize("lines", [
    [b"Content-Length: 5", b"Content-Length: 6"], [b"Content-Length: 5, 6"], [b"Content-Length: x"],
    [b"Content-Length: -5"], [b"Content-Length: +5"], [b"Content-Length:"], [b"Content-Length: 5 5"], [b"Content-Length: 0x5"],
    [b"Content-Length: 18446744073709551621"], [b"Content-Length: " + b"9" * 100], [b"Content-Length: 5\x0b"],
    [b"Content-Length: \xef\xbc\x95"], [b"Content-Length: 5;"], [b"Content-Length: 5.0"], [b"Content-Length: 5", b"Content-Length: 0"],
])
def test_invalid_content_length_of_a_response_is_502(wire, lines):
    """Rule 20: RFC 9112 6.3."""
    wire.upstream.script = bad_answer(b"\r\n".join([b"HTTP/1.1 200 OK", *lines]) + b"\r\n\r\nhello")
    assert wire.client().exchange(get(b"/bad")).status == 502
    check_serves_on(wire)


@pytest.mark.parametrize("lines", [
    [b"Transfer-Encoding: chunked", b"Content-Length: 5"], [b"Content-Length: 500", b"Transfer-Encoding: chunked"],
])
def test_content_length_with_chunked_in_a_response(wire, lines):
    """Rule 20: 502, or chunked wins and Content-Length is removed."""
    wire.upstream.script = bad_answer(b"\r\n".join([b"HTTP/1.1 200 OK", *lines]) + b"\r\n\r\n" + chunked([b"hello"]))
    response = wire.client().exchange(get(b"/bad"))
    assert response.status == 502 or (response.status == 200 and response.body == b"hello")
    check_serves_on(wire)


@pytest.mark.parametrize("value", [b"gzip", b"gzip, chunked", b"chunked, chunked", b"chunked, gzip", b"identity", b"xchunked",
                                   b"chunked;x", b"chun\xe2\x84\xaaed"])
def test_other_transfer_coding_of_a_response(wire, value):
    """Rule 20: what the proxy can't frame is 502 or never looks whole."""
    wire.upstream.script = bad_answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: " + value + b"\r\n\r\n" + chunked([b"hello"]))
    client = wire.client()
    try:
        response = client.exchange(get(b"/bad"))
    except (StreamEnded, Truncated):
        response = None
    assert response is None or response.status == 502
    check_serves_on(wire)


@pytest.mark.parametrize("lines, expected", [
    ([b"X-Test : v"], (None, b"v")), ([b"X-Test: a", b" b"], (None, b"a b")), ([b"X-Test: a", b"\tb"], (None, b"a b")),
])
def test_repairable_field_of_a_response(wire, lines, expected):
    """Rule 20: white space before the colon and folds may be repaired (RFC 9112 5.1, 5.2)."""
    wire.upstream.script = bad_answer(b"\r\n".join([b"HTTP/1.1 200 OK", b"Content-Length: 2", *lines]) + b"\r\n\r\nok", False)
    response = wire.client().exchange(get(b"/bad"))
    if response.status == 200:
        assert response.body == b"ok"
        value = response.value(b"X-Test")
        assert value is None or value.split() == expected[1].split()
    else:
        assert response.status == 502


CUT_ANSWERS = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
    "length, nothing": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n",
    "chunked, nothing": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    "chunked, in size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5",
    "chunked, in data": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
    "chunked, after data": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello",
    "chunked, after chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "chunked, in last": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0",
    "chunked, after last": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
    "chunked, in trailers": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\n",
}


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
@pytest.mark.parametrize("ending", ["close", "reset"])
@pytest.mark.parametrize("cut", CUT_ANSWERS)
def test_body_cut_by_upstream_is_visible_to_the_client(wire, cut, ending, version):
    """Rule 21: no last chunk, no padded end; the client can tell."""
    def script(connection):
        connection.read_request()
        connection.send(CUT_ANSWERS[cut])
        if ending == "reset":
            connection.reset()
    wire.upstream.script = script
    client = wire.client()
    try:
        response = client.exchange(get(b"/cut", version=version))
    except (Truncated, StreamEnded):
        return
    if version == b"1.0" and response.framing == "close" and response.status == 200:
        assert client.stream.ended == "reset", "an HTTP/1.0 client can tell only by a reset"
        return
    assert response.status == 502, f"looks whole: {response}"


BAD_BODIES = [b"g\r\nhello\r\n0\r\n\r\n", b"-5\r\nhello\r\n0\r\n\r\n", b"5\r\nhelloXX0\r\n\r\n", b"5\r\nhello!\r\n0\r\n\r\n",
              b"\r\nhello\r\n0\r\n\r\n", b"5\r\nhello\r\nzz\r\n\r\n", b"FFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n",
              b"10000000000000005\r\nhello\r\n0\r\n\r\n", b"5\x00\r\nhello\r\n0\r\n\r\n", b"0x5\r\nhello\r\n0\r\n\r\n",
              b"5\r\nhello\r\n0\r\nN\x00: v\r\n\r\n", b"5\r\nhello\r\n0\r\nbad trailer\r\n\r\n"]


@pytest.mark.parametrize("body", BAD_BODIES)
def test_broken_chunked_body_is_visible_to_the_client(wire, body):
    """Rule 21: the client must not take a broken body for a whole one."""
    wire.upstream.script = bad_answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
    client = wire.client()
    try:
        response = client.exchange(get(b"/bad"))
        if b"railer" in body or b"N\x00" in body:
            assert response.status == 502 or (response.trailers == [] and response.body == b"hello")
        else:
            assert response.status == 502, f"looks whole: {response}"
    except (Truncated, StreamEnded):
        pass
    client.close()
    check_serves_on(wire)


def test_error_after_a_sent_head_is_visible_in_the_body(wire):
    """Rule 21: the head and a part are out when the error comes."""
    gate = wire.upstream.gate()

    def script(connection):
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        gate.wait(20)
        connection.send(b"not a chunk\r\n")
    wire.upstream.script = script
    client = wire.client()
    client.send(get())
    head = client.read_head()
    assert head.status == 200
    eventually(lambda: b"hello" in client.stream.buffer or client.stream.fill(), "the first chunk")
    gate.set()
    rest = client.stream.read_to_end()
    assert b"0\r\n\r\n" not in rest and b"not a chunk" not in rest


@pytest.mark.parametrize("size", [0, 5, 100000])
def test_close_delimited_body_is_delivered_framed(wire, size):
    """Rule 21: with valid framing, and the client's connection goes on or closes in order."""
    wire.upstream.script = serve_bytes(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * size, then_close=True)
    response = wire.client().exchange(get())
    assert response.body == b"x" * size


GOOD_BODIES = [
    (b"5\r\nhello\r\n0\r\n\r\n", b"hello"), (b"0\r\n\r\n", b""), (b"05;ext=1\r\nhello\r\n000\r\n\r\n", b"hello"),
    (b"1\r\na\r\n1\r\nb\r\n0\r\nX: y\r\n\r\n", b"ab"), (b"a\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
]


@pytest.mark.parametrize("body, content", GOOD_BODIES)
def test_chunked_body_of_a_response_is_delivered(wire, body, content):
    """Rule 21: whole, and the connection can be used again."""
    wire.upstream.script = serve_bytes(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
    client = wire.client()
    for _ in range(3):
        assert client.exchange(get()).body == content


def test_response_byte_by_byte(wire):
    """Rules 11, 28: the same in the other direction; each byte is a segment."""
    data = (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nX-Test: v\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n5;x\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n")

    def answer(connection, request):
        for i in range(len(data)):
            connection.send_and_wait(data[i:i + 1])
    wire.upstream.script = serve(answer)
    client = wire.client()
    for _ in range(2):
        response = client.exchange(get())
        assert (response.value(b"X-Test"), response.body, len(response.interim)) == (b"v", b"hello", 1)


def test_response_cut_in_two_at_every_place(wire):
    """Rules 11, 28: the outcome doesn't depend on the segments."""
    data = b"HTTP/1.1 200 OK\r\nX-Test: v\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    cuts = iter(range(1, len(data)))

    def answer(connection, request):
        cut = next(cuts)
        connection.send_and_wait(data[:cut])
        connection.send(data[cut:])
    wire.upstream.script = serve(answer)
    client = wire.client()
    for _ in range(1, len(data)):
        assert client.exchange(get()).body == b"hello"


STRAY = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstray"


@pytest.mark.parametrize("framing", ["length", "chunked", "empty"])
def test_bytes_beyond_a_response_are_no_answer(wire, framing):
    """Rule 22: they are discarded together with the connection."""
    whole = {"length": response_bytes(200, b"hello"), "empty": response_bytes(200, b""),
             "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked([b"hello"])}[framing]

    def answer(connection, request):
        if request.target == b"/more":
            connection.send(whole + STRAY)
        else:
            echo(connection, request)
    wire.upstream.script = serve(answer)
    client = wire.client()
    for number in range(5):
        assert client.exchange(get(b"/more")).body in (b"hello", b"")
        assert client.exchange(get(b"/%d" % number)).body == b"/%d|" % number
        assert wire.client().exchange(get(b"/x%d" % number)).body == b"/x%d|" % number


def test_bytes_on_an_idle_upstream_connection_are_no_answer(wire):
    """Rule 22: what upstream sends unasked ends that connection (RFC 9112 9.2)."""
    client = wire.client()
    assert client.exchange(get(b"/1")).body == b"/1|"
    idle = wire.upstream.connections[0]
    idle.send(STRAY)
    eventually(idle.gone, "the idle connection is closed")
    assert client.exchange(get(b"/2")).body == b"/2|"
    assert wire.client().exchange(get(b"/3")).body == b"/3|"


@pytest.mark.parametrize("size", [16 * KIBIBYTE, 30 * KIBIBYTE])
def test_large_response_head_passes(wire, size):
    """Rule 23, SHOULD: 16 KiB; Galaxy's heads are 32 kB and more."""
    value = b"v" * (size - 200)
    wire.upstream.script = serve_bytes(response_bytes(200, b"ok", [(b"X-Big", value)]))
    client = wire.client()
    for _ in range(2):
        response = client.exchange(get())
        assert (response.body, response.value(b"X-Big")) == (b"ok", value)


@pytest.mark.parametrize("part", ["value", "count", "status line", "name"])
def test_oversized_response_head_is_502(wire, part):
    """Rule 23: with bounded memory."""
    head = {"value": b"HTTP/1.1 200 OK\r\nX-Big: " + b"v" * (4 << 20),
            "count": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 400000,
            "status line": b"HTTP/1.1 200 " + b"O" * (4 << 20),
            "name": b"HTTP/1.1 200 OK\r\n" + b"n" * (4 << 20)}[part]
    wire.upstream.script = bad_answer(head + b"\r\n\r\nhello")
    wire.check_forwards()
    before = wire.program.resident()
    assert wire.client().exchange(get(b"/bad")).status == 502
    wire.check_growth(before, 4 << 20)
    check_serves_on(wire)
