"""Section 1: Host, field syntax, names with underscores, limits (rules 3, 4, 10, 12)."""

import pytest

from harness.client import get, post
from harness.stream import StreamEnded

MEBIBYTE = 1 << 20


def head(*lines):
    """A request head of raw lines after a valid request line."""
    return b"\r\n".join((b"GET /head HTTP/1.1", *lines)) + b"\r\n\r\n"


@pytest.mark.parametrize("hosts", [[], [b"a.example", b"a.example"], [b"a.example", b"b.example"],
                                   [b"", b"a.example"], [b"a.example", b""]])
def test_no_host_or_several_are_rejected(wire, hosts):
    """Rule 3: HTTP/1.1 needs exactly one Host."""
    wire.expect_rejected(head(*(b"Host: " + host for host in hosts)))


@pytest.mark.parametrize("host", [
    b"a b", b"a\tb", b"a/b", b"a/", b"a@b", b"a?b", b"a#b", b"a\\b", b"a\"b", b"<a>", b"{a}", b"a|b",
    b"a\x00b", b"a\x01b", b"a\x7fb", b"[::1", b"::1]", b"[::1]x", b"[zz::]", b"a:b", b"a:80:80", b"a:-1",
    b"a:\xef\xbc\x98\xef\xbc\x90", b"h\xc3\xa9.example", b"\xff", b"http://a", b":80", b"a^b", b"a`b",
    b"[]", b"a:80x",
])
def test_invalid_host_is_rejected(wire, host):
    """Rule 3: a value that is no `uri-host [ ":" port ]` gets 400."""
    wire.expect_rejected(head(b"Host: " + host))


@pytest.mark.parametrize("host", [
    b"test.example", b"test.example:8080", b"TEST.Example", b"127.0.0.1", b"127.0.0.1:1", b"[::1]",
    b"[::1]:8080", b"under_score", b"a", b"xn--bcher-kva.example", b"test.example.", b"1.2.3.4.5", b"a~b-c",
])
def test_valid_host_is_forwarded_unchanged(wire, host):
    """Rule 3: forwarded as it came, port included."""
    assert wire.forwarded(head(b"Host: " + host)).value(b"Host") == host


@pytest.mark.parametrize("line", [b"host: a.example", b"HOST:a.example", b"HoSt:\t a.example \t "])
def test_host_name_is_case_insensitive_and_value_is_trimmed(wire, line):
    """Rules 3, 4: names fold ASCII case; SP and HTAB around a value are no part of it."""
    assert wire.forwarded(head(line)).value(b"Host") == b"a.example"


def test_http_1_0_without_host_gets_one(wire):
    """Rule 3: HTTP/1.0 needs no Host, but upstream is spoken to in HTTP/1.1."""
    request = wire.forwarded(b"GET /old HTTP/1.0\r\n\r\n")
    assert request.target == b"/old"
    assert request.version == 1


VALID_FIELDS = [
    (b"X-Plain: value", b"value"), (b"X-Plain:value", b"value"), (b"X-Plain:  value  ", b"value"),
    (b"X-Plain:\tvalue\t", b"value"), (b"X-Plain: \t v \t ", b"v"), (b"X-Plain:", b""), (b"X-Plain: ", b""),
    (b"X-Plain: \t ", b""), (b"X-Plain: a\tb  c", b"a\tb  c"), (b"X-Plain: :", b":"), (b"X-Plain: a:b", b"a:b"),
    (b"X-Plain: caf\xc3\xa9", b"caf\xc3\xa9"), (b"X-Plain: \xff\xfe\x80", b"\xff\xfe\x80"),
    (b"X-Plain: e\xcc\x81", b"e\xcc\x81"), (b"X-Plain: \xcc\x81e", b"\xcc\x81e"),
    (b"X-Plain: \xc2\xa0v\xc2\xa0", b"\xc2\xa0v\xc2\xa0"), (b"X-Plain: \xc2\x85", b"\xc2\x85"),
    (b"X-Plain: \xe2\x80\xa8", b"\xe2\x80\xa8"), (b"X-Plain: \"quoted, string\"", b"\"quoted, string\""),
    (b"X-Plain: " + bytes(range(0x21, 0x7F)), bytes(range(0x21, 0x7F))),
    (b"X-Plain: " + bytes(range(0x80, 0x100)), bytes(range(0x80, 0x100))),
]


@pytest.mark.parametrize("line, value", VALID_FIELDS)
def test_value_is_forwarded_byte_exact(wire, line, value):
    """Rule 4: SP and HTAB are stripped, every other byte passes, 0x80 to 0xFF too."""
    assert wire.forwarded(head(b"Host: test.example", line)).value(b"X-Plain") == value


@pytest.mark.parametrize("name", [b"A", b"x-lower", b"X-UPPER", b"X!#$%&'*+.^`|~9", b"9", b"x" * 200])
def test_any_token_is_a_name(wire, name):
    """Rule 4: a field name is a token."""
    request = wire.forwarded(head(b"Host: test.example", name + b": yes"))
    assert request.value(name) == b"yes"


def test_repeated_fields_keep_their_order(wire):
    """Rule 4: the order of lines with one name is kept, empty ones stay."""
    values = [b"1", b"", b"2", b"1", b"a, b"]
    lines = [b"X-Many: " + value for value in values]
    mixed = [lines[0], b"Other: x", lines[1], lines[2], b"Cookie: a=b", lines[3], lines[4]]
    assert wire.forwarded(head(b"Host: test.example", *mixed)).values(b"X-Many") == values


BAD_LINES = [
    b"Name : value", b"Name\t: value", b"Host : other.example", b"Content-Length : 5",
    b"Transfer-Encoding : chunked", b"Na\x00me: v",
]


@pytest.mark.parametrize("line", BAD_LINES)
def test_white_space_or_nul_in_a_name_is_rejected(wire, line):
    """Rule 4: white space before the colon gets 400 (RFC 9112 5.1)."""
    wire.expect_rejected(head(b"Host: test.example", line))


@pytest.mark.parametrize("line", [b" Name: value", b"\tName: value"])
def test_white_space_before_the_first_field_is_rejected(wire, line):
    """Rule 4: there is no line that it could continue (RFC 9112 2.2: reject or ignore)."""
    request = wire.rejected_or_forwarded(head(line, b"Host: test.example"))
    assert request is None or request.values(b"Name") == []


@pytest.mark.parametrize("line", [
    b"no colon", b"nocolon", b": empty name", b":", b"Na me: v", b"Na(me: v", b"Na\"me: v", b"Na@me: v",
    b"Na/me: v", b"Na[me: v", b"N\xc3\xa4me: v", b"\xff: v", b"Na\x01me: v", b"Na\x7fme: v", b"{}: v", b",: v",
    b"Name;a: v", b"Na\\me: v", b"\xe2\x84\xaa: v", b"\xef\xbb\xbfName: v",
])
def test_bad_name_is_rejected_or_dropped(wire, line):
    """Rule 4: empty names, lines without colon and names that are no tokens never go upstream."""
    request = wire.rejected_or_forwarded(head(b"Host: test.example", line, b"X-After: kept"))
    if request is not None:
        assert request.value(b"X-After") == b"kept"
        assert line not in request.head


@pytest.mark.parametrize("value", [b"a\x00b", b"\x00", b"a\rb", b"\ra", b"a\r", b"a\r\rb", b"a\r X-B: c"])
def test_nul_and_cr_never_go_upstream(wire, value):
    """Rule 4: 400, or dropped, or replaced (RFC 9110 5.5)."""
    request = wire.rejected_or_forwarded(head(b"Host: test.example", b"X-Bad: " + value))
    if request is not None:
        assert not set(b"\x00\r") & set(request.head.replace(b"\r\n", b""))


@pytest.mark.parametrize("lines", [
    (b"X-Fold: a", b" b"), (b"X-Fold: a", b"\tb"), (b"X-Fold: a", b"   \t b"), (b"X-Fold:", b" a b"),
])
def test_folded_line_is_rejected_or_unfolded(wire, lines):
    """Rule 4: obs-fold gets 400 or becomes SP (RFC 9112 5.2)."""
    request = wire.rejected_or_forwarded(head(b"Host: test.example", *lines))
    if request is not None:
        assert request.value(b"X-Fold").split() == [b"a", b"b"]


@pytest.mark.parametrize("lines", [
    (b"Host: test.example", b" .evil"), (b"Host: test.example", b"Content-Length: 0", b" 5"),
    (b"Host: test.example", b"Transfer-Encoding: chunked", b" , gzip"),
    (b"Host: test.example", b"Content-Length:", b" 0"),
])
def test_folded_framing_field_is_rejected_or_taken_whole(wire, lines):
    """Rules 4 to 6: a fold never hides a part of Host, Content-Length or Transfer-Encoding."""
    request = wire.rejected_or_forwarded(head(*lines), (400, 501))
    if request is not None:
        assert request.body == b""
        assert request.value(b"Host") == b"test.example"


UNDERSCORED = [b"X_Forwarded_For", b"X_Forwarded-For", b"X-Forwarded_For", b"x_forwarded_proto",
               b"X_Forwarded_Host", b"Content_Length", b"Transfer_Encoding",
               b"REMOTE_USER", b"Remote_User", b"Remote-User"]


@pytest.mark.parametrize("name", UNDERSCORED)
def test_name_that_collides_after_mapping_is_dropped_or_refused(wire, name):
    """Rule 12: WSGI maps `-` to `_`, so that `X_Forwarded_For` would pass for the real one."""
    value = b"chunked" if b"ransfer" in name else b"7"
    request = wire.rejected_or_forwarded(head(b"Host: test.example", name + b": " + value))
    if request is not None:
        assert request.values(name) == []


def test_head_of_24_kib_is_accepted(wire):
    """Rule 10: at least 8000 octets of request line and 24 KiB of head."""
    target = b"/" + b"t" * 7900
    fields = [(b"X-Field-%d" % i, b"v" * 200) for i in range(72)]
    request = wire.forwarded(get(target, fields))
    assert request.target == target
    assert [request.value(name) for name, _ in fields] == [value for _, value in fields]


def test_one_field_of_20_kib_is_accepted(wire):
    """Rule 10: Galaxy's cookies can be large."""
    value = bytes(33 + i % 90 for i in range(20 * 1024))
    assert wire.forwarded(get(fields=[(b"X-Big", value)])).value(b"X-Big") == value


def test_a_hundred_fields_are_accepted(wire):
    """Rule 10: many small fields are no attack yet."""
    request = wire.forwarded(get(fields=[(b"X-%d" % i, b"%d" % i) for i in range(90)]))
    assert [request.value(b"X-%d" % i) for i in range(90)] == [b"%d" % i for i in range(90)]


OVERSIZED = {
    "target": lambda: get(b"/" + b"x" * MEBIBYTE),
    "method": lambda: get(method=b"X" * MEBIBYTE),
    "value": lambda: get(fields=[(b"X-Big", b"v" * MEBIBYTE)]),
    "name": lambda: get(fields=[(b"n" * MEBIBYTE, b"v")]),
    "count": lambda: get(fields=[(b"X-%d" % i, b"") for i in range(60000)]),
    "total": lambda: get(fields=[(b"X-%d" % i, b"v" * 1000) for i in range(1000)]),
    "host": lambda: get(host=b"h" * MEBIBYTE),
    "empty lines": lambda: b"\r\n" * (MEBIBYTE // 2) + get(),
}


@pytest.mark.parametrize("part", OVERSIZED)
def test_oversized_head_is_refused_not_truncated(wire, part):
    """Rule 10: far beyond the limit: 414, 431 or 400, and nothing goes upstream."""
    wire.expect_rejected(OVERSIZED[part](), (400, 414, 431, 501), may_close=part == "empty lines")


@pytest.mark.parametrize("start_of_head", [b"GET /", b"GET / HTTP/1.1\r\nHost: a\r\nX: ", b"GET / HTTP/1.1\r\n",
                                           b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;"])
def test_endless_head_costs_no_memory(wire, start_of_head):
    """Rule 10: the memory for a head is bounded, whatever is sent."""
    wire.check_forwards()
    before = wire.program.resident()
    client = wire.client()
    client.send(start_of_head)
    piece = b"a" * MEBIBYTE if not start_of_head.endswith(b"\n") else b"A: b\r\n" * (MEBIBYTE // 6)
    for _ in range(64):
        if not client.send(piece):
            break
    wire.check_growth(before, 8 * MEBIBYTE)
    try:
        assert client.read_response().status in (400, 413, 414, 431)
    except StreamEnded:
        pass
    client.close()
    wire.check_forwards()
    assert wire.requests_but_sentinels() == []


def test_connection_serves_after_a_large_head(wire):
    """Rule 10: the buffer that a large head needed does not disturb what follows."""
    client = wire.client()
    for number in range(4):
        size = 20000 if number % 2 == 0 else 1
        client.send(post(b"b" * size, b"/%d" % number, [(b"X-Big", b"v" * size)]))
        assert client.read_response().body == b"/%d|" % number + b"b" * size
