"""Section 1: Content-Length, Transfer-Encoding and chunked bodies (rules 5 to 9)."""

import pytest

from harness.client import get, post, post_chunked
from harness.message import chunked
from harness.stream import StreamEnded, eventually
from harness.wire import SMUGGLED


def head(*lines, version=b"1.1"):
    """The head of a POST, of raw lines."""
    start = (b"POST /framed HTTP/" + version, b"Host: test.example")
    return b"\r\n".join((*start, *lines)) + b"\r\n\r\n"


BAD_LENGTHS = [
    b"", b"+5", b"-5", b"5 5", b"5,6", b"5, 6", b"6,5", b"5;", b"0x5", b"0X5", b"5.0", b"5e0", b"1e1", b"five",
    b"\xef\xbc\x95", b"\xd9\xa5", b"\xc2\xb2", b"5\x00", b"\x005", b"5\x0b", b"\x0c5", b"5,", b",5", b"5,,5",
    b"5 ,6", b"18446744073709551616", b"18446744073709551621", b"9223372036854775808",
    b"340282366920938463463374607431768211461", b"9" * 300, b"5\xc2\xa0", b"\xc2\xa05", b"5_0", b"0b101", b"\"5\"",
    b"5\r 0", b"NaN", b"inf", b"5:5", b"-0", b"e\xcc\x81",
]


@pytest.mark.parametrize("value", BAD_LENGTHS)
def test_malformed_content_length_is_rejected(wire, value):
    """Rule 5: 1*DIGIT, ASCII, overflow-checked; all else gets 400 and a close."""
    wire.expect_rejected(head(b"Content-Length: " + value) + b"hello", (400, 413))


@pytest.mark.parametrize("lines", [
    (b"Content-Length: 5", b"Content-Length: 6"), (b"Content-Length: 6", b"Content-Length: 5"),
    (b"Content-Length: 5", b"content-length: 50"), (b"Content-Length: 5", b"Content-Length:"),
    (b"Content-Length: 5", b"X: y", b"Content-Length: 0"), (b"Content-Length: 0", b"Content-Length: 5"),
    (b"Content-Length: 5", b"Content-Length: +5"), (b"Content-Length: 5", b"Content-Length: 5, 6"),
])
def test_differing_content_lengths_are_rejected(wire, lines):
    """Rule 5: several values that are not the same get 400 and a close."""
    wire.expect_rejected(head(*lines) + b"hello")


@pytest.mark.parametrize("lines", [
    (b"Content-Length: 5", b"Content-Length: 5"), (b"Content-Length: 5,5",), (b"Content-Length: 5, 5",),
    (b"Content-Length: 5, 5", b"content-length: 5"), (b"Content-Length: 5", b"Content-Length: 05"),
])
def test_repeated_content_length_is_rejected_or_merged(wire, lines):
    """Rule 5: identical repeats: 400, or one value forwarded."""
    request = wire.rejected_or_forwarded(head(*lines) + b"hello")
    assert request is None or request.body == b"hello"


@pytest.mark.parametrize("value", [b"5", b"05", b"0000000000000000000000000000005", b" 5 ", b"\t5\t"])
def test_content_length_is_decimal_digits(wire, value):
    """Rule 5: leading zeros are digits, and white space around the value is no part of it."""
    request = wire.rejected_or_forwarded(head(b"Content-Length:" + value) + b"hello", (400, 413))
    if value in (b"5", b" 5 ", b"\t5\t", b"05"):
        assert request is not None
    assert request is None or request.body == b"hello"


BAD_CODINGS = [
    b"gzip", b"identity", b"gzip, chunked", b"identity, chunked", b"chunked, gzip", b"chunked, identity",
    b"chunked, chunked", b"chunked,chunked", b"", b"xchunked", b"chunkedx", b"chunke", b"x-chunked",
    b"chunked;q=1", b"chunked; a=b", b"\"chunked\"", b"chunked chunked", b"chunked\x0b", b"\x0bchunked",
    b"\x0cchunked", b"chunked\x00", b"\x00chunked", b"chun\xe2\x84\xaaed", b"chunked\xc2\xa0", b"\xc2\xa0chunked",
    b"chunked\xcc\x81", b"trailers", b"chunked\r", b"chu\rnked", b"'chunked'", b"chunked/1", b"cow",
    b"\xef\xbb\xbfchunked",
]


@pytest.mark.parametrize("value", BAD_CODINGS)
def test_other_transfer_coding_is_rejected(wire, value):
    """Rule 6: only `chunked`, exactly once; all else gets 400 or 501 and a close."""
    wire.expect_rejected(head(b"Transfer-Encoding: " + value) + chunked([b"hello"]), (400, 411, 501))


@pytest.mark.parametrize("lines", [
    (b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
    (b"Transfer-Encoding: chunked", b"transfer-encoding: gzip"),
    (b"Transfer-Encoding: gzip", b"Transfer-Encoding: chunked"),
    (b"Transfer-Encoding: identity", b"Transfer-Encoding: chunked"),
    (b"Transfer-Encoding: chunked", b"X: y", b"Transfer-Encoding: identity"),
])
def test_several_transfer_codings_are_rejected(wire, lines):
    """Rule 6: several lines are one list."""
    wire.expect_rejected(head(*lines) + chunked([b"hello"]), (400, 501))


@pytest.mark.parametrize("value", [b"chunked", b"Chunked", b"CHUNKED", b"cHuNkEd", b" \tchunked\t "])
def test_chunked_is_case_insensitive(wire, value):
    """Rule 6: coding names fold ASCII case; upstream gets exactly one framing."""
    request = wire.forwarded(head(b"Transfer-Encoding:" + value) + chunked([b"hel", b"lo"]))
    assert request.body == b"hello"


@pytest.mark.parametrize("lines", [
    (b"Transfer-Encoding: chunked,",), (b"Transfer-Encoding: ,chunked",), (b"Transfer-Encoding: , chunked ,,",),
    (b"Transfer-Encoding:", b"Transfer-Encoding: chunked"), (b"Transfer-Encoding: ,", b"Transfer-Encoding: chunked"),
])
def test_empty_list_elements_are_ignored_or_rejected(wire, lines):
    """Rule 6: list syntax (RFC 9110 5.6.1) allows empty elements."""
    request = wire.rejected_or_forwarded(head(*lines) + chunked([b"hello"]), (400, 501))
    assert request is None or request.body == b"hello"


@pytest.mark.parametrize("lines", [
    (b"Content-Length: 5", b"Transfer-Encoding: chunked"), (b"Transfer-Encoding: chunked", b"Content-Length: 5"),
    (b"Transfer-Encoding: chunked", b"Content-Length: 0"), (b"Content-Length: 500", b"Transfer-Encoding: CHUNKED"),
])
def test_content_length_with_chunked_is_rejected_or_chunked_wins(wire, lines):
    """Rule 6: reject, or use chunked, drop Content-Length and close after the answer."""
    client = wire.client()
    client.send(head(*lines) + chunked([b"hello"]) + SMUGGLED)
    response = client.read_response(b"POST")
    client.expect_close()
    if response.status == 200:
        assert wire.upstream.wait_for_requests(1)[0].body == b"hello"
    else:
        assert response.status in (400, 501)
    wire.check_forwards()
    wire.check_nothing_smuggled()


@pytest.mark.parametrize("lines", [(b"Transfer-Encoding: chunked",),
                                   (b"Connection: keep-alive", b"Transfer-Encoding: chunked")])
def test_chunked_in_http_1_0_is_rejected_or_ends_the_connection(wire, lines):
    """Rule 6: HTTP/1.0 has no Transfer-Encoding (RFC 9112 6.1)."""
    client = wire.client()
    client.send(head(*lines, version=b"1.0") + chunked([b"hello"]) + SMUGGLED)
    response = client.read_response(b"POST")
    client.expect_close()
    if response.status == 200:
        assert wire.upstream.wait_for_requests(1)[0].body == b"hello"
    wire.check_forwards()
    wire.check_nothing_smuggled()


@pytest.mark.parametrize("method", [b"GET", b"DELETE", b"OPTIONS", b"PROPFIND", b"HEAD"])
def test_body_of_any_method_is_framed_the_same(wire, method):
    """Rules 5, 6: framing doesn't depend on the method (RFC 9112 6)."""
    request = wire.forwarded(post(b"hello", method=method), method)
    assert request.body == b"hello"
    wire.upstream.clear()
    request = wire.forwarded(post_chunked([b"hel", b"lo"], method=method), method)
    assert request.body == b"hello"


def test_post_without_framing_has_no_body(wire):
    """Rule 5: neither field means no body (RFC 9112 6.3), and the next bytes are a request."""
    client = wire.client()
    client.send(get(b"/a", method=b"POST") + get(b"/b"))
    assert [client.read_response().body for _ in range(2)] == [b"/a|", b"/b|"]


GOOD_CHUNKS = [
    (b"5\r\nhello\r\n0\r\n\r\n", b"hello"), (b"05\r\nhello\r\n00\r\n\r\n", b"hello"),
    (b"00000005\r\nhello\r\n0\r\n\r\n", b"hello"), (b"A\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
    (b"a\r\n0123456789\r\n000\r\n\r\n", b"0123456789"), (b"1\r\na\r\n1\r\nb\r\n0\r\n\r\n", b"ab"),
    (b"0\r\n\r\n", b""), (b"5;ext\r\nhello\r\n0\r\n\r\n", b"hello"), (b"5;a=b;c=d\r\nhello\r\n0;last\r\n\r\n", b"hello"),
    (b"5;a=\"q;\\\"s\"\r\nhello\r\n0\r\n\r\n", b"hello"), (b"2\r\n\r\n\r\n0\r\n\r\n", b"\r\n"),
    (b"5\r\n0\r\n\r\n\r\n0\r\n\r\n", b"0\r\n\r\n"), (b"1F\r\n" + b"x" * 31 + b"\r\n0\r\n\r\n", b"x" * 31),
    (b"5;" + b"e" * 200 + b"\r\nhello\r\n0\r\n\r\n", b"hello"),
]


@pytest.mark.parametrize("body, content", GOOD_CHUNKS)
def test_chunked_body_is_reframed(wire, body, content):
    """Rule 7: sizes in hex of either case, extensions ignored; the content is what arrives."""
    client = wire.client()
    client.send(head(b"Transfer-Encoding: chunked") + body + get(b"/next"))
    assert client.read_response(b"POST").body == b"/framed|" + content
    assert client.read_response().body == b"/next|"
    first = wire.upstream.requests[0]
    assert first.body == content
    assert b";" not in bytes(wire.upstream.connections[0].stream.received)


@pytest.mark.parametrize("body, content", [
    (b"5 ;a\r\nhello\r\n0\r\n\r\n", b"hello"), (b"5 \r\nhello\r\n0\r\n\r\n", b"hello"),
    (b"5;\r\nhello\r\n0\r\n\r\n", b"hello"), (b"5\t;a = b\r\nhello\r\n0\r\n\r\n", b"hello"),
    (b"0000000000000000000000005\r\nhello\r\n0\r\n\r\n", b"hello"), (b"5;\xff\r\nhello\r\n0\r\n\r\n", b"hello"),
])
def test_odd_but_harmless_chunk_line_is_rejected_or_reframed(wire, body, content):
    """Rule 7: white space around extensions is legal or harmless; it never goes upstream."""
    request = wire.rejected_or_forwarded(head(b"Transfer-Encoding: chunked") + body, begun=True)
    assert request is None or request.body == content


BAD_CHUNKS = [
    b"g\r\nhello\r\n", b"-5\r\nhello\r\n", b"+5\r\nhello\r\n", b"0x5\r\nhello\r\n", b"5h\r\nhello\r\n",
    b" 5\r\nhello\r\n", b"\t5\r\nhello\r\n", b"\r\nhello\r\n", b";a\r\nhello\r\n", b"5,\r\nhello\r\n",
    b"5\x00\r\nhello\r\n", b"5 5\r\nhello\r\n", b"\xef\xbc\x95\r\nhello\r\n", b"\xd9\xa5\r\nhello\r\n",
    b"5\xcc\x81\r\nhello\r\n", b"5\r\r\nhello\r\n", b"5\rX\nhello\r\n", b"5\r hello\r\n", b"5;a\x00b\r\nhello\r\n",
    b"5;a\rb\r\nhello\r\n", b"5;a\nb\r\nhello\r\n", b"10000000000000005\r\nhello\r\n",
    b"FFFFFFFFFFFFFFFFF\r\nhello\r\n", b"100000000000000000000000000000005\r\nhello\r\n",
    b"8000000000000005\r\nhello\r\n", b"FFFFFFFFFFFFFFFF\r\nhello\r\n",
    b"5\r\nhelloXX", b"5\r\nhello!\r\n", b"5\r\nhell\r\n", b"5\r\nhello\rX", b"5\r\nhello\r\r\n", b"5\r\nhelloX\r\n",
    b"5\r\nhello\r\n\r\n", b"5\r\nhello5\r\nhello\r\n", b"5\r\nhello\r\nz\r\n", b"5\r\nhello\r\n-1\r\n",
    b"5_0\r\nhello\r\n", b"\"5\"\r\nhello\r\n", b"5.\r\nhello\r\n", b"0;a\rb\r\n",
]


@pytest.mark.parametrize("body", BAD_CHUNKS)
def test_malformed_chunk_aborts_the_request(wire, body):
    """Rules 7, 8: the request is never whole upstream, and what follows is no request."""
    data = head(b"Transfer-Encoding: chunked") + body + b"0\r\n\r\n"
    wire.expect_rejected(data, (400, 413, 502), begun=True)


@pytest.mark.parametrize("body", [
    b"5\nhello\r\n0\r\n\r\n", b"5\r\nhello\n0\r\n\r\n", b"5\r\nhello\r\n0\n\r\n", b"5\r\nhello\r\n0\r\n\n",
    b"5\nhello\n0\n\n",
])
def test_bare_line_feed_in_chunked_body_aborts_the_request(wire, body):
    """Rule 7: CRLF after size line and data is enforced byte for byte."""
    wire.expect_rejected(head(b"Transfer-Encoding: chunked") + body, (400, 502), begun=True)


@pytest.mark.parametrize("trailers, fields", [
    (b"X-Sum: 1\r\n", [(b"X-Sum", b"1")]), (b"A: \xff\r\nB:\r\n", [(b"A", b"\xff"), (b"B", b"")]),
])
def test_trailers_are_kept_as_trailers_or_dropped(wire, trailers, fields):
    """Rule 7: never merged into the header section."""
    client = wire.client()
    client.send(post_chunked([b"hello"], b"/t", trailers=trailers) + get(b"/next"))
    assert client.read_response(b"POST").status == 200
    assert client.read_response().body == b"/next|"
    request = wire.upstream.requests[0]
    trailed = [(name.lower(), value) for name, value in request.trailers]
    assert trailed in ([], [(name.lower(), value) for name, value in fields])
    for name, _ in fields:
        assert request.values(name) == []


@pytest.mark.parametrize("trailers", [
    b"Content-Length: 500\r\n", b"Transfer-Encoding: gzip\r\n", b"Host: evil.example\r\n",
    b"X-Forwarded-For: 6.6.6.6\r\n", b"Connection: close\r\n", b"Remote-User: admin\r\n",
])
def test_framing_and_routing_fields_in_trailers_have_no_effect(wire, trailers):
    """Rule 7: trailers never reach the header section (RFC 9110 6.5.1)."""
    client = wire.client()
    client.send(post_chunked([b"hello"], b"/t", trailers=trailers) + get(b"/next"))
    response = client.read_response(b"POST")
    if response.status != 200:
        assert response.status in (400, 502)
        return
    assert client.read_response().body == b"/next|"
    request = wire.upstream.requests[0]
    assert request.value(b"Host") == b"test.example"
    assert b"6.6.6.6" not in request.head
    assert b"admin" not in request.head


@pytest.mark.parametrize("trailers", [
    b"no colon\r\n", b"Name : v\r\n", b": v\r\n", b"N\x00: v\r\n", b"A: \x00\r\n", b"A: b\rc\r\n", b"A: b\n\n",
    b"N\xc3\xa4me: v\r\n", b" A: b\r\n",
])
def test_malformed_trailer_is_rejected_or_dropped(wire, trailers):
    """Rule 7: trailers are validated like fields."""
    data = post_chunked([b"hello"], b"/t", trailers=trailers)
    request = wire.rejected_or_forwarded(data, (400, 502), begun=True)
    assert request is None or request.trailers == []


@pytest.mark.parametrize("part", ["extension", "trailer", "trailer count"])
def test_oversized_chunk_parts_are_refused(wire, part):
    """Rules 7, 10: extensions and trailers are limited."""
    parts = {
        "extension": b"5;" + b"e" * (1 << 20) + b"\r\nhello\r\n0\r\n\r\n",
        "trailer": b"5\r\nhello\r\n0\r\nX: " + b"t" * (1 << 20) + b"\r\n\r\n",
        "trailer count": b"5\r\nhello\r\n0\r\n" + b"X: y\r\n" * 200000 + b"\r\n",
    }
    wire.expect_rejected(head(b"Transfer-Encoding: chunked") + parts[part], (400, 413, 431, 502), begun=True)


CUT_BODIES = {
    "length": head(b"Content-Length: 100") + b"half of it",
    "length, nothing": head(b"Content-Length: 100"),
    "length, one short": head(b"Content-Length: 10") + b"123456789",
    "chunked, nothing": head(b"Transfer-Encoding: chunked"),
    "chunked, in size": head(b"Transfer-Encoding: chunked") + b"5\r\nhello\r\n5",
    "chunked, after size": head(b"Transfer-Encoding: chunked") + b"5\r\n",
    "chunked, in data": head(b"Transfer-Encoding: chunked") + b"5\r\nhel",
    "chunked, after data": head(b"Transfer-Encoding: chunked") + b"5\r\nhello",
    "chunked, after chunk": head(b"Transfer-Encoding: chunked") + b"5\r\nhello\r\n",
    "chunked, in last": head(b"Transfer-Encoding: chunked") + b"5\r\nhello\r\n0",
    "chunked, after last": head(b"Transfer-Encoding: chunked") + b"5\r\nhello\r\n0\r\n",
    "chunked, in trailers": head(b"Transfer-Encoding: chunked") + b"5\r\nhello\r\n0\r\nA: b\r\n",
}


@pytest.mark.parametrize("ending", ["close", "shutdown", "reset"])
@pytest.mark.parametrize("cut", CUT_BODIES)
def test_body_cut_by_the_client_is_never_complete_upstream(wire, cut, ending):
    """Rule 8: upstream can't take a cut body for a whole one (RFC 9112 8)."""
    client = wire.client()
    client.send_pieces([CUT_BODIES[cut]])
    {"close": client.close, "shutdown": client.shutdown_write, "reset": client.reset}[ending]()
    eventually(lambda: all(c.gone() for c in wire.upstream.connections), "upstream is released")
    wire.check_forwards()
    assert wire.requests_but_sentinels() == []


def test_framing_error_late_in_a_body_ends_the_upstream_request(wire):
    """Rule 8: upstream has read a part of the body when the error is found."""
    client = wire.client()
    client.send(head(b"Transfer-Encoding: chunked") + b"5\r\nhello\r\n")
    wire.upstream.wait_for(lambda: b"hello" in b"".join(wire.upstream.all_received()), "the first chunk")
    client.send(b"zz\r\n" + SMUGGLED)
    try:
        assert client.read_response(b"POST").status in (400, 502)
    except StreamEnded:
        pass
    assert client.stream.read_to_end() == b""
    wire.upstream.wait_for(wire.upstream.connections[0].gone, "the request is aborted")
    assert wire.upstream.requests == []
    wire.check_nothing_smuggled()


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_rest_of_a_body_after_an_early_answer_is_never_a_request(wire, framing):
    """Rule 9: what was announced as body is read as body, or the connection is closed."""
    def answer_at_once(connection):
        while (request := connection.read_head()) is not None:
            if request.method == b"POST":
                connection.respond(413, b"too large")
                connection.close()
                return
            connection.read_body(request)
            connection.respond(200, request.target)

    wire.upstream.script = answer_at_once
    client = wire.client()
    size = len(SMUGGLED) * 100
    if framing == "length":
        client.send(head(b"Content-Length: %d" % size))
        rest = SMUGGLED * 100
    else:
        client.send(head(b"Transfer-Encoding: chunked"))
        rest = chunked([SMUGGLED] * 100)
    assert client.read_response(b"POST").status == 413
    client.send(rest + get(b"/after"))
    try:
        assert client.read_response().body == b"/after"
    except StreamEnded:
        pass
    client.close()
    wire.check_forwards()
    for request in wire.requests_but_sentinels():
        assert request.target == b"/after"
