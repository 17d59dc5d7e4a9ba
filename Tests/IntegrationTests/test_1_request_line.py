"""Section 1: the request line and its target (rules 1 and 2)."""

import pytest

from harness.client import get

METHODS = [b"GET", b"POST", b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"PROPFIND", b"MKCOL",
           b"M-SEARCH", b"get", b"Get", b"BREW", b"A1!#$%&'*+-.^_`|~z", b"X" * 32]


@pytest.mark.parametrize("method", METHODS)
def test_method_is_forwarded_unchanged(wire, method):
    """Rule 1: methods are case-sensitive tokens; unknown ones are forwarded."""
    request = wire.forwarded(get(b"/m", method=method) if method not in (b"POST", b"PUT", b"PATCH")
                             else get(b"/m", [(b"Content-Length", b"0")], method=method))
    assert request.method == method


BAD_LINES = [
    b"", b"GET", b"GET /", b"GET / ", b" / HTTP/1.1", b"/ HTTP/1.1", b"GET HTTP/1.1",
    b"G@T / HTTP/1.1", b"G(T / HTTP/1.1", b"GET: / HTTP/1.1", b"G\xc3\x89T / HTTP/1.1",
    b"G\x00T / HTTP/1.1", b"G\x7fT / HTTP/1.1", b"\"GET\" / HTTP/1.1", b"G,T / HTTP/1.1",
    b"GET / http/1.1", b"GET / HTTP/1.1x", b"GET / HTTP/1.", b"GET / HTTP/1", b"GET / HTTP/.1",
    b"GET / HTTP /1.1", b"GET / XHTTP/1.1", b"GET / HTTP/1.10", b"GET / HTTP/01.1",
    b"GET / HTTP/1,1", b"GET / HTTP/1.\xef\xbc\x91", b"GET / HTTP/1.\xd9\xa1", b"GET / HTTP/-1.1",
    b"GET / HTTP/1.1 HTTP/1.1", b"GET / / HTTP/1.1", b"GET / HTTP/1.1\x00", b"GET / ICY/1.1",
    b"GET / HTTP/1.a",
]


@pytest.mark.parametrize("line", BAD_LINES)
def test_malformed_request_line_is_rejected(wire, line):
    """Rule 1: anything but `token SP target SP HTTP/1.DIGIT` is refused, not guessed at."""
    data = line + b"\r\nHost: test.example\r\n\r\n"
    wire.expect_rejected(data, (400, 405, 501, 505), may_close=line in (b"GET /", b"GET / "))


@pytest.mark.parametrize("version", [b"0.9", b"2.0", b"2", b"3.0", b"9.9"])
def test_other_version_is_rejected(wire, version):
    """Rule 1: other major versions get 505 or 400."""
    wire.expect_rejected(get(version=version), (400, 505))


@pytest.mark.parametrize("version", [b"1.2", b"1.9"])
def test_higher_minor_version_is_served_as_1_1(wire, version):
    """Rule 1: `HTTP/1.DIGIT` is accepted (RFC 9110 2.5); upstream gets HTTP/1.1."""
    request = wire.forwarded(get(version=version))
    assert request.version == 1


LENIENT_LINES = [
    b"GET  /x HTTP/1.1", b"GET /x  HTTP/1.1", b"GET\t/x HTTP/1.1", b"GET /x\tHTTP/1.1",
    b"GET /x HTTP/1.1 ", b"GET /x HTTP/1.1\t", b" GET /x HTTP/1.1", b"\tGET /x HTTP/1.1",
    b"GET\x0b/x HTTP/1.1", b"GET\x0c/x HTTP/1.1", b"GET /x\rHTTP/1.1", b"GET /x HTTP/1.1\r",
]


@pytest.mark.parametrize("line", LENIENT_LINES)
def test_odd_white_space_is_rejected_or_normalised(wire, line):
    """Rule 1: leniency only if what goes upstream is normalised."""
    request = wire.rejected_or_forwarded(line + b"\r\nHost: test.example\r\n\r\n")
    assert request is None or (request.method, request.target) == (b"GET", b"/x")


@pytest.mark.parametrize("data", [
    b"GET /x HTTP/1.1\nHost: test.example\r\n\r\n",
    b"GET /x HTTP/1.1\r\nHost: test.example\nA: b\r\n\r\n",
    b"GET /x HTTP/1.1\r\nHost: test.example\r\n\n",
    b"GET /x HTTP/1.1\nHost: test.example\n\n",
])
def test_bare_line_feed_is_rejected_or_normalised(wire, data):
    """Rules 1, 4: a bare LF may end a line (RFC 9112 2.2), but never goes upstream."""
    request = wire.rejected_or_forwarded(data)
    assert request is None or (request.target, request.value(b"Host")) == (b"/x", b"test.example")


def test_empty_line_before_a_request_is_ignored(wire):
    """Rule 1, SHOULD: one CRLF before the request line (RFC 9112 2.2)."""
    assert wire.forwarded(b"\r\n" + get(b"/after"), b"GET").target == b"/after"


def test_empty_line_between_requests_is_ignored(wire):
    """Rule 1, SHOULD: old clients send a CRLF after a body."""
    client = wire.client()
    client.send(get(b"/1") + b"\r\n" + get(b"/2"))
    assert [client.read_response().body for _ in range(2)] == [b"/1|", b"/2|"]


TARGETS = [
    b"/", b"/a/../b", b"/a/./b", b"//double//slash/", b"/%2e%2E/%2F", b"/a%00b", b"/?", b"/?a=b&c=%20",
    b"/;p=1;q", b"/a?b?c", b"/a:80@x", b"/*", b"/a,b!$&'()*+=", b"/~_-.", b"/x?y=//z/../w",
    b"/?http://other.example/", b"/%E2%84%AA", b"/" + b"x" * 4000, b"/%", b"/%zz",
]


@pytest.mark.parametrize("target", TARGETS)
def test_target_is_forwarded_byte_exact(wire, target):
    """Rule 2: no decoding, no normalisation (RFC 9110 7.7)."""
    if target in (b"/%", b"/%zz"):
        request = wire.rejected_or_forwarded(get(target))
        assert request is None or request.target == target
    else:
        assert wire.forwarded(get(target)).target == target


@pytest.mark.parametrize("target", [
    b"/a#fragment", b"/a|b", b"/a\"b", b"/<a>", b"/a\\b", b"/a^b", b"/a`b", b"/{a}", b"/[a]",
    b"/\xc3\xa9", b"/\xff\x80", b"/\xe2\x84\xaa", b"/e\xcc\x81",
])
def test_unusual_target_is_forwarded_byte_exact_or_refused(wire, target):
    """Rule 2: bytes that a URI may not hold are kept as they are or refused."""
    request = wire.rejected_or_forwarded(get(target))
    assert request is None or request.target == target


@pytest.mark.parametrize("byte", [*range(0x00, 0x0A), *range(0x0B, 0x20), 0x7F])
def test_control_character_in_target_is_rejected(wire, byte):
    """Rule 2: white space and control characters in a target get 400."""
    wire.expect_rejected(get(b"/a" + bytes([byte]) + b"b"), (400, 505))


def test_space_in_target_is_rejected(wire):
    """Rule 2: a space ends the target, and what follows is no version."""
    wire.expect_rejected(get(b"/a b"), (400, 505))


@pytest.mark.parametrize("target", [b"foo", b"foo/bar", b"?x", b"#x", b"*x", b"**", b"\\x", b"..", b"foo:80",
                                    b"test.example:80"])
def test_target_of_no_form_is_rejected(wire, target):
    """Rule 2: only origin-form, absolute-form and `*` (RFC 9112 3.2)."""
    wire.expect_rejected(get(target))


def test_asterisk_form_is_for_options_only(wire):
    """Rule 2: `OPTIONS *` passes, `GET *` gets 400."""
    assert wire.forwarded(get(b"*", method=b"OPTIONS")).target == b"*"
    wire.upstream.clear()
    wire.expect_rejected(get(b"*"))


@pytest.mark.parametrize("target, host, origin", [
    (b"http://other.example/x?y", b"other.example", b"/x?y"),
    (b"http://other.example:8080/x/../%2e", b"other.example:8080", b"/x/../%2e"),
    (b"HTTP://other.example/x", b"other.example", b"/x"),
    (b"hTTp://OTHER.example/x", b"OTHER.example", b"/x"),
    (b"http://other.example", b"other.example", b"/"),
    (b"http://other.example?q=1", b"other.example", b"/?q=1"),
    (b"http://[::1]:81/x", b"[::1]:81", b"/x"),
    (b"http://127.0.0.1/x", b"127.0.0.1", b"/x"),
])
def test_absolute_form_authority_replaces_host(wire, target, host, origin):
    """Rule 2: absolute-form is accepted; its authority is the Host that upstream sees."""
    request = wire.forwarded(get(target, host=host))
    assert (request.target, request.value(b"Host").lower()) == (origin, host.lower())


def test_absolute_form_with_another_host_field(wire):
    """Rule 2: on mismatch the authority wins, or the request is refused (RFC 9112 3.2.2)."""
    request = wire.rejected_or_forwarded(get(b"http://other.example/x", host=b"test.example"))
    assert request is None or request.value(b"Host") == b"other.example"


@pytest.mark.parametrize("target", [
    b"http://", b"http:///x", b"http://:80/", b"http://[::1/", b"http://host:port/", b"http://ho[st/",
    b"http://a@b@c/", b"http://host:80:80/", b"http://ho\\st/", b"http:host/", b"http:/host/", b"http://?x",
    b"http://#x", b"http://h\xc3\xa9st/", b"http://h<st>/", b"http://%/",
])
def test_malformed_authority_is_rejected(wire, target):
    """Rule 2: an empty or malformed authority gets 400."""
    wire.expect_rejected(get(target))


@pytest.mark.parametrize("target", [b"test.example:443", b"/", b"http://test.example/", b"*", b"127.0.0.1:1"])
def test_connect_is_refused(wire, target):
    """Rule 2: CONNECT is never forwarded, and no tunnel starts."""
    wire.expect_rejected(get(target, method=b"CONNECT"), (400, 403, 404, 405, 501))
