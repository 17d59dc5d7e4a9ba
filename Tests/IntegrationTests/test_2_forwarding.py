"""Section 2: what is changed on the way, and nothing else (rules 13 to 15, 18, 19)."""

import pytest

from harness.client import get, post
from harness.message import chunked, response_bytes
from harness.upstream import echo, serve, serve_bytes

HOP_BY_HOP = [b"Keep-Alive", b"TE", b"Upgrade", b"Proxy-Connection"]


def end_to_end(message):
    """The fields that tests set themselves, by folded name."""
    return {name.lower(): value for name, value in message.fields if name.lower().startswith(b"x-test")}


@pytest.mark.parametrize("name, value", [
    (b"Keep-Alive", b"timeout=5"), (b"TE", b"gzip"), (b"TE", b"trailers"), (b"Proxy-Connection", b"keep-alive"),
    (b"Upgrade", b"foo/1"), (b"keep-alive", b"x"), (b"PROXY-CONNECTION", b"close"), (b"Upgrade", b"h2c"),
])
def test_hop_by_hop_field_of_a_request_is_removed(wire, name, value):
    """Rule 13: `TE: trailers` may be the proxy's own (RFC 9110 7.6.1, 10.1.4)."""
    request = wire.forwarded(get(fields=[(name, value), (b"X-Test", b"kept")]))
    own = [b"trailers"] if name == b"TE" else []
    assert [v for v in request.values(name) if v.lower() not in own] == []
    assert value not in request.tokens(b"Connection") and b"upgrade" not in request.tokens(b"Connection")
    assert request.value(b"X-Test") == b"kept"


NOMINATIONS = [
    [b"X-Test-Gone"], [b"x-test-gone"], [b"X-TEST-GONE"], [b"close, X-Test-Gone"], [b"keep-alive,X-Test-Gone"],
    [b",, X-Test-Gone ,"], [b"X-Test-Other", b"X-Test-Gone"], [b"\tX-Test-Gone\t, x"], [b"X-Test-Gone, X-Test-Gone"],
    [b"", b"X-Test-Gone"],
]


@pytest.mark.parametrize("values", NOMINATIONS)
def test_nominated_field_of_a_request_is_removed(wire, values):
    """Rule 13: every field that Connection names, in any case and line."""
    fields = [(b"X-Test-Gone", b"1"), *((b"Connection", value) for value in values),
              (b"X-Test-Kept", b"2"), (b"x-test-gone", b"3")]
    request = wire.forwarded(get(fields=fields))
    assert end_to_end(request) == {b"x-test-kept": b"2"}


@pytest.mark.parametrize("values", NOMINATIONS)
def test_nominated_field_of_a_response_is_removed(wire, values):
    """Rule 13: in both directions."""
    fields = [(b"X-Test-Gone", b"1"), *((b"Connection", value) for value in values), (b"X-Test-Kept", b"2")]
    wire.upstream.script = serve_bytes(response_bytes(200, b"body", fields), b"close" in values[0])
    response = wire.client().exchange(get())
    assert (response.status, response.body) == (200, b"body")
    assert end_to_end(response) == {b"x-test-kept": b"2"}
    assert b"x-test-gone" not in response.tokens(b"Connection")


@pytest.mark.parametrize("name", HOP_BY_HOP)
def test_hop_by_hop_field_of_a_response_is_removed(wire, name):
    """Rule 13: also without a nomination."""
    wire.upstream.script = serve_bytes(response_bytes(200, b"body", [(name, b"secret-hop"), (b"X-Test", b"kept")]))
    response = wire.client().exchange(get())
    assert b"secret-hop" not in response.head
    assert response.value(b"X-Test") == b"kept"


@pytest.mark.parametrize("name", [b"Host", b"host", b"Content-Length", b"Transfer-Encoding", b"X-Forwarded-For",
                                  b"X-Forwarded-Proto", b"Connection", b"X-Forwarded-For, Host, Content-Length"])
def test_nominating_what_the_proxy_sets_breaks_nothing(wire, name):
    """Rule 13: the framing, Host and forwarding fields stay."""
    request = wire.forwarded(post(b"hello", fields=[(b"Connection", name)]))
    assert (request.body, request.value(b"Host")) == (b"hello", b"test.example")
    assert request.value(b"X-Forwarded-For") == b"127.0.0.1"
    assert request.value(b"X-Forwarded-Proto") == b"http"


@pytest.mark.parametrize("name", [b"Content-Length", b"Transfer-Encoding", b"Set-Cookie, Content-Length"])
def test_response_that_nominates_its_framing_stays_framed(wire, name):
    """Rule 13: the client still sees where the body ends."""
    def answer(connection, request):
        if name == b"Transfer-Encoding":
            connection.send(b"HTTP/1.1 200 OK\r\nConnection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n\r\n"
                            + chunked([b"hello"]))
        else:
            connection.respond(200, b"hello", [(b"Connection", name)])
    wire.upstream.script = serve(answer)
    client = wire.client()
    assert client.exchange(get()).body == b"hello"


@pytest.mark.parametrize("lines, addresses", [
    ([], [b"127.0.0.1"]),
    ([b"6.6.6.6"], None), ([b"6.6.6.6, 7.7.7.7"], None), ([b"6.6.6.6", b"7.7.7.7"], None), ([b""], None),
    ([b"127.0.0.1"], None), ([b"6.6.6.6,"], None), ([b"\"odd, one\""], None), ([b"6.6.6.6", b"", b"::1"], None),
])
def test_peer_address_is_the_last_element_of_x_forwarded_for(wire, lines, addresses):
    """Rule 14: appended across all lines, or in their place."""
    request = wire.forwarded(get(fields=[(b"X-Forwarded-For", line) for line in lines]))
    elements = [element.strip() for element in b",".join(request.values(b"X-Forwarded-For")).split(b",")]
    assert elements[-1] == b"127.0.0.1"
    if addresses is not None:
        assert elements == addresses


@pytest.mark.parametrize("lines", [[], [b"https"], [b"https", b"wss"], [b""], [b"https, http"]])
def test_x_forwarded_proto_is_one_line_of_the_proxy(wire, lines):
    """Rule 14: exactly one, never the client's."""
    request = wire.forwarded(get(fields=[(b"X-Forwarded-Proto", line) for line in lines]))
    assert request.values(b"X-Forwarded-Proto") == [b"http"]


@pytest.mark.parametrize("lines", [[b"evil.example"], [b"evil.example", b"evil2.example"], [b"evil.example:1, x"]])
def test_x_forwarded_host_is_not_the_clients(wire, lines):
    """Rule 14, SHOULD: Galaxy trusts it."""
    request = wire.forwarded(get(fields=[(b"X-Forwarded-Host", line) for line in lines]))
    assert b"evil" not in request.head


@pytest.mark.parametrize("name", [b"X-URL-SCHEME", b"X_URL_SCHEME"])
def test_url_scheme_is_not_the_clients(wire, name):
    """Rule 14: another name under which Galaxy takes the scheme from the proxy."""
    request = wire.rejected_or_forwarded(get(fields=[(name, b"evil")]))
    assert request is None or b"evil" not in request.head


def test_upstream_is_spoken_to_in_http_1_1(wire):
    """Rule 15: whatever the client's version, and the connection is kept."""
    client = wire.client()
    client.exchange(get(b"/1"))
    old = wire.client().exchange(get(b"/2", version=b"1.0"))
    assert old.body == b"/2|"
    assert [r.version for r in wire.upstream.requests] == [1, 1]
    assert len(wire.upstream.connections) <= 2
    for request in wire.upstream.requests:
        assert b"close" not in request.tokens(b"Connection")


def test_close_of_the_client_is_not_passed_upstream(wire):
    """Rule 15, SHOULD: the client's `Connection: close` is its own."""
    for number in range(40):
        client = wire.client()
        client.exchange(get(b"/%d" % number, [(b"Connection", b"close")]))
        client.expect_close()
    assert len(wire.upstream.connections) < 10


def test_close_of_upstream_is_not_passed_to_the_client(wire):
    """Rule 15, SHOULD: nor the reverse."""
    def answer(connection, request):
        connection.respond(200, request.target, [(b"Connection", b"close")])
        connection.close()
    wire.upstream.script = serve(answer)
    client = wire.client()
    for number in range(5):
        response = client.exchange(get(b"/%d" % number))
        assert response.body == b"/%d" % number
        assert b"close" not in response.tokens(b"Connection")


def test_old_upstream_is_understood(wire):
    """Rule 15: an HTTP/1.0 answer that a close ends."""
    wire.upstream.script = serve_bytes(b"HTTP/1.0 200 OK\r\nX-Test: old\r\n\r\nthe body", then_close=True)
    client = wire.client()
    response = client.exchange(get())
    assert (response.body, response.version) == (b"the body", 1)


@pytest.mark.parametrize("fields", [
    [b"Content-Length: 5"], [b"Content-Length: 0"], [b"Transfer-Encoding: chunked"], [],
])
@pytest.mark.parametrize("case", ["HEAD", "204", "304"])
def test_answer_without_body_by_definition(wire, case, fields):
    """Rule 18: whatever the fields say, the next bytes are the next answer."""
    status = {"HEAD": b"200 OK", "204": b"204 No Content", "304": b"304 Not Modified"}[case]
    head = b"\r\n".join([b"HTTP/1.1 " + status, b"ETag: \"e\"", *fields]) + b"\r\n\r\n"

    def answer(connection, request):
        if request.target == b"/bodyless":
            connection.send(head)
        else:
            connection.respond(200, request.target)
    wire.upstream.script = serve(answer)
    client = wire.client()
    method = b"HEAD" if case == "HEAD" else b"GET"
    response = client.exchange(get(b"/bodyless", method=method))
    assert response.status == int(status[:3])
    assert response.value(b"ETag") == b"\"e\""
    assert client.exchange(get(b"/next")).body == b"/next"


def test_content_length_of_a_head_answer_is_kept(wire):
    """Rule 18: it says what a GET would get."""
    wire.upstream.script = serve_bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n")
    response = wire.client().exchange(get(method=b"HEAD"))
    assert response.value(b"Content-Length") == b"12345"


@pytest.mark.parametrize("case", ["HEAD", "204", "304"])
def test_stray_body_never_reaches_a_client(wire, case):
    """Rule 18: bytes after an answer that has none by definition are dropped."""
    status = {"HEAD": b"200 OK", "204": b"204 No Content", "304": b"304 Not Modified"}[case]
    stray = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstray"

    def answer(connection, request):
        if request.target == b"/stray":
            connection.send(b"HTTP/1.1 " + status + b"\r\nContent-Length: %d\r\n\r\n" % len(stray) + stray)
        else:
            echo(connection, request)
    wire.upstream.script = serve(answer)
    client = wire.client()
    method = b"HEAD" if case == "HEAD" else b"GET"
    assert client.exchange(get(b"/stray", method=method)).status == int(status[:3])
    for number in range(3):
        assert client.exchange(get(b"/%d" % number)).body == b"/%d|" % number


@pytest.mark.parametrize("status, reason", [
    (200, b"OK"), (200, b""), (201, b"Created"), (202, b"A  spaced  reason"), (206, b"Partial Content"), (226, b"IM Used"),
    (299, b"Made up"), (301, b"Moved"), (302, b"Found"), (307, b"T"), (400, b"Bad"), (401, b"U"), (404, b"Nowhere"),
    (418, b"I'm a teapot"), (429, b"Slow"), (451, b"L"), (500, b"Oops"), (502, b"Own"), (503, b"Own"), (504, b"Own"),
    (599, b"\xc3\xa9"),
])
def test_status_reason_and_body_are_unchanged(wire, status, reason):
    """Rule 19: 5xx bodies too; the reason may be empty."""
    wire.upstream.script = serve_bytes(response_bytes(status, b"its own body", [(b"X-Test", b"1")], reason))
    response = wire.client().exchange(get())
    assert (response.status, response.reason, response.body) == (status, reason, b"its own body")
    assert response.value(b"X-Test") == b"1"


def test_absent_reason_is_accepted(wire):
    """Rule 19: `HTTP/1.1 200` without the space is seen in the field."""
    wire.upstream.script = serve_bytes(b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok")
    response = wire.client().exchange(get())
    assert (response.status, response.reason, response.body) == (200, b"", b"ok")


def test_set_cookie_lines_stay_separate_and_ordered(wire):
    """Rule 19: they can't be joined (RFC 9110 5.3)."""
    cookies = [b"a=1; Path=/", b"b=2; Expires=Wed, 21 Oct 2026 07:28:00 GMT", b"a=3", b""]
    wire.upstream.script = serve_bytes(response_bytes(200, b"", [(b"Set-Cookie", c) for c in cookies]))
    assert wire.client().exchange(get()).values(b"Set-Cookie") == cookies


@pytest.mark.parametrize("name, value", [
    (b"Location", b"http://127.0.0.1:1/x?y=//z"), (b"Location", b"/relative/../x"), (b"ETag", b"W/\"abc\""),
    (b"Last-Modified", b"Wed, 21 Oct 2026 07:28:00 GMT"), (b"Content-Encoding", b"gzip"),
    (b"Content-Range", b"bytes 0-4/10"), (b"WWW-Authenticate", b"Basic realm=\"a, b\", Digest x=y"),
    (b"Content-Type", b"text/html; charset=\"utf-8\""), (b"Cache-Control", b"no-cache"), (b"Vary", b"*"),
    (b"X-Accel-Buffering", b"no"), (b"Server", b"test/1"), (b"Date", b"Wed, 21 Oct 2026 07:28:00 GMT"),
    (b"X-Test", b"\xff\xfe caf\xc3\xa9"), (b"X-Test", b"e\xcc\x81"), (b"X-Test", b""),
    (b"Content-Disposition", b"attachment; filename=\"a;b.txt\""), (b"Retry-After", b"3"), (b"Link", b"<a>; rel=b"),
])
def test_end_to_end_field_of_a_response_is_unchanged(wire, name, value):
    """Rule 19: validators, coding, ranges, challenges, and bytes above 0x7F."""
    wire.upstream.script = serve_bytes(response_bytes(200, b"hello", [(name, value)]))
    response = wire.client().exchange(get())
    assert response.values(name) == [value]
    assert response.body == b"hello"


@pytest.mark.parametrize("name, value", [
    (b"Cookie", b"a=b; c=\"d\""), (b"Authorization", b"Basic eDp5"), (b"Range", b"bytes=0-4,6-"),
    (b"If-None-Match", b"\"a\", W/\"b\""), (b"Accept-Encoding", b"gzip, br;q=0"), (b"User-Agent", b"x/1 (y)"),
    (b"Last-Event-ID", b"17"), (b"Content-Type", b"multipart/form-data; boundary=x"), (b"Origin", b"null"),
    (b"Via", b"1.0 fred"), (b"Max-Forwards", b"7"), (b"Referer", b"http://x/?y"), (b"DNT", b"1"),
])
def test_end_to_end_field_of_a_request_is_unchanged(wire, name, value):
    """Rules 4, 19: what isn't the proxy's is left alone."""
    values = wire.forwarded(post(b"x", fields=[(name, value)])).values(name)
    assert value in values[0] if name == b"Via" else values == [value]


def test_fields_of_a_request_keep_their_order(wire):
    """Rule 4: order matters to signatures and to people who read logs."""
    names = [b"X-Test-%d" % i for i in (3, 1, 2, 9, 5, 4)]
    request = wire.forwarded(get(fields=[(name, b"v") for name in names]))
    assert list(end_to_end(request)) == [name.lower() for name in names]


@pytest.mark.parametrize("asked", [False, True])
def test_response_trailers_are_kept_as_trailers_or_dropped(wire, asked):
    """Rule 19: kept SHOULD, when the client said `TE: trailers`; never in the head."""
    wire.upstream.script = serve_bytes(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
                                       + chunked([b"hello"], b"X-Sum: 5\r\n"))
    fields = [(b"TE", b"trailers"), (b"Connection", b"TE")] if asked else []
    client = wire.client()
    response = client.exchange(get(fields=fields))
    assert response.body == b"hello"
    assert response.values(b"X-Sum") == []
    trailers = [(name.lower(), value) for name, value in response.trailers]
    assert trailers == [(b"x-sum", b"5")] if asked else trailers in ([], [(b"x-sum", b"5")])


def test_trusted_proxy_may_name_the_client(start):
    """Rule 14: what a trusted proxy in front says is kept, and the peer still appended."""
    wire = start(trusted_proxies=["127.0.0.1/32"])
    request = wire.forwarded(get(fields=[(b"X-Forwarded-For", b"192.0.2.7")]))
    elements = [element.strip() for element in b",".join(request.values(b"X-Forwarded-For")).split(b",")]
    assert elements[0] == b"192.0.2.7"
    assert elements[-1] in (b"127.0.0.1", b"192.0.2.7")


def test_proxy_on_a_unix_socket(start, folder):
    """Rules 11, 15: the public address may be one; there each byte is read on its own for certain."""
    wire = start(listen=f"unix:{folder}/public.sock")
    data = post(b"hello", b"/unix") + get(b"/next")
    client = wire.client()
    client.send_pieces([data[i:i + 1] for i in range(len(data))])
    assert client.read_response(b"POST").body == b"/unix|hello"
    assert client.read_response().body == b"/next|"
