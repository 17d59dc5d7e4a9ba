"""Where the codec and h11 may differ, in which direction, and why.

`STRICTER`: the codec refuses what h11 accepts. `LOOSER`: the codec accepts what h11 refuses; what it then sends on is
read by h11 again and has to be accepted. Whatever is not listed here has to be the same.

Each entry says for which part of a message it holds, gives an example, and tells by the bytes alone whether it
applies. The parts: a request head, a response head, and a chunked body with what follows it.
"""

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass

STRICTER, LOOSER = "stricter", "looser"
REQUEST, RESPONSE, BODY = "request", "response", "body"
HEADS = (REQUEST, RESPONSE)
ALL = (*HEADS, BODY)

MAXIMUM = 2**63 - 1
REGISTERED_NAME = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+")
FUTURE = re.compile(rb"[vV][0-9A-Fa-f]+\.[A-Za-z0-9._~!$&'()*+,;=:-]+")
AUTHORITY = re.compile(rb"(\[[^]]*\]|[^:]*)(?::([0-9]*))?")


@dataclass(frozen=True)
class Difference:
    """One entry of the list."""

    name: str
    direction: str
    parts: tuple[str, ...]
    why: str
    example: bytes
    applies: Callable[[bytes], object]


def fields(part: bytes, name: bytes) -> list[bytes]:
    """The values of the fields of a name in a head or in trailers."""
    found = re.findall(rb"(?im)^" + name + rb"[ \t]*:(.*)$", part)
    return [value.strip(b" \t\r") for value in found]


def first_line(part: bytes) -> bytes:
    """The request line or status line."""
    return part.removeprefix(b"\r\n").split(b"\n")[0].rstrip(b"\r")


def words(part: bytes) -> list[bytes]:
    """The three words of a request line, or what is there."""
    return (first_line(part).split(b" ") + [b"", b"", b""])[:3]


def valid_authority(value: bytes) -> bool:
    """`uri-host [ ":" port ]` with a host in it (RFC 3986 3.2.2)."""
    match = AUTHORITY.fullmatch(value)
    if not match or int(match[2] or 0) > 65535:
        return False
    host = match[1]
    if not host.startswith(b"["):
        return bool(REGISTERED_NAME.fullmatch(host))
    if FUTURE.fullmatch(host[1:-1]):
        return True
    try:
        return b"%" not in host and bool(ipaddress.IPv6Address(host[1:-1].decode("ascii")))
    except ValueError:
        return False


def strange_target(part: bytes) -> bool:
    """A target of none of the forms that a proxy takes."""
    method, target, _ = words(part)
    if target.startswith(b"/") or (target == b"*" and method == b"OPTIONS"):
        return False
    match = re.match(rb"(?i)https?://([^/?#]*)", target)
    return not (match and valid_authority(match[1]))


def lengths(part: bytes) -> list[bytes]:
    """All elements of Content-Length."""
    return [element.strip(b" \t") for value in fields(part, b"content-length") for element in value.split(b",")]


def codings(part: bytes) -> list[bytes]:
    """All elements of Transfer-Encoding that are not empty, in lower case."""
    values = b",".join(fields(part, b"transfer-encoding")).lower().split(b",")
    return [value.strip(b" \t") for value in values if value.strip(b" \t")]


def listed_chunked(part: bytes) -> bool:
    """`chunked` once, among empty list elements or lines."""
    values = fields(part, b"transfer-encoding")
    return codings(part) == [b"chunked"] and [value.lower() for value in values] != [b"chunked"]


def spelled_lengths(part: bytes) -> bool:
    """Numbers that are the same, but spelled with other leading zeros, or with more digits than h11 takes."""
    found = lengths(part)
    return all(map(bytes.isdigit, found)) and len(set(map(int, found))) == 1 and (
        len(set(found)) > 1 or any(len(value) > 20 for value in found)
    )


DIFFERENCES = [
    Difference(
        "bare line feed", STRICTER, ALL,
        "RFC 9112 2.2: a recipient MAY take a single LF for a line end; what others take it for is how smuggling begins",
        b"GET / HTTP/1.1\nHost: h\n\n",
        lambda part: re.search(rb"(?<!\r)\n", part),
    ),
    Difference(
        "line folding", STRICTER, ALL,
        "RFC 9112 5.2: refused or replaced by blanks; here refused",
        b"GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n c\r\n\r\n",
        lambda part: re.search(rb"\n[ \t]", part),
    ),
    Difference(
        "controls in a field value", STRICTER, ALL,
        "RFC 9110 5.5: invalid; a recipient MAY retain them, a proxy between others had better not",
        b"GET / HTTP/1.1\r\nHost: h\r\nA: \x01\r\n\r\n",
        lambda part: re.search(rb"\n[^\n]*:[^\n]*[\x01-\x08\x0e-\x1f\x7f]", part),
    ),
    Difference(
        "controls in the reason", STRICTER, (RESPONSE,),
        "RFC 9112 4: reason-phrase is HTAB, SP, VCHAR and obs-text",
        b"HTTP/1.1 200 \x01\r\n\r\n",
        lambda part: re.search(rb"[\x01-\x08\x0e-\x1f\x7f]", first_line(part)),
    ),
    Difference(
        "another major version", STRICTER, HEADS,
        "RFC 9110 2.5, 15.6.6: only HTTP/1 is spoken; the request gets 505",
        b"GET / HTTP/2.0\r\nHost: h\r\n\r\n",
        lambda part: re.search(rb"(?:^| )HTTP/(?!1\.)", first_line(part)),
    ),
    Difference(
        "CONNECT", STRICTER, (REQUEST,),
        "RFC 9110 9.3.6: this is no forward proxy",
        b"CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n",
        lambda part: words(part)[0] == b"CONNECT",
    ),
    Difference(
        "form of the target", STRICTER, (REQUEST,),
        "RFC 9112 3.2: origin-form, absolute-form with a valid authority, or * with OPTIONS",
        b"GET x HTTP/1.1\r\nHost: h\r\n\r\n",
        strange_target,
    ),
    Difference(
        "malformed Host", STRICTER, (REQUEST,),
        "RFC 9112 3.2: a Host with an invalid value MUST get 400; an empty host is invalid in http (RFC 9110 4.2.1)",
        b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        lambda part: not all(map(valid_authority, fields(part, b"host"))),
    ),
    Difference(
        "no Host in HTTP/1.2 to 1.9", STRICTER, (REQUEST,),
        "RFC 9110 2.5: a higher minor version is served as 1.1, with all that 1.1 asks for",
        b"GET / HTTP/1.2\r\n\r\n",
        lambda part: re.search(rb" HTTP/1\.[2-9]$", first_line(part)) and not fields(part, b"host"),
    ),
    Difference(
        "Content-Length and Transfer-Encoding", STRICTER, HEADS,
        "RFC 9112 6.3: ought to be handled as an error; here it is one",
        b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        lambda part: fields(part, b"content-length") and fields(part, b"transfer-encoding"),
    ),
    Difference(
        "Transfer-Encoding in HTTP/1.0", STRICTER, HEADS,
        "RFC 9112 6.1: the framing of such a message is faulty",
        b"GET / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n",
        lambda part: b"HTTP/1.0" in first_line(part) and fields(part, b"transfer-encoding"),
    ),
    Difference(
        "length beyond 63 bits", STRICTER, ALL,
        "RFC 9110 8.6: a recipient MUST anticipate large numerals and prevent errors by overflow",
        b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 9223372036854775808\r\n\r\n",
        lambda part: any(value.isdigit() and int(value) > MAXIMUM for value in lengths(part)),
    ),
    Difference(
        "chunk size beyond 63 bits", STRICTER, (BODY,),
        "RFC 9112 7.1: a recipient MUST anticipate large numerals and prevent errors by overflow",
        b"8000000000000000\r\n",
        lambda part: any(int(size, 16) > MAXIMUM for size in re.findall(rb"(?m)^([0-9A-Fa-f]{16,})", part)),
    ),
    Difference(
        "blanks behind a chunk size", STRICTER, (BODY,),
        "RFC 9112 7.1.1: blanks may stand around the `;` and the `=` of an extension, nowhere else",
        b"1 \r\na\r\n0\r\n\r\n",
        lambda part: re.search(rb"(?m)^[0-9A-Fa-f]+[ \t]+\r$", part),
    ),
    Difference(
        "controls in a chunk extension", STRICTER, (BODY,),
        "RFC 9112 7.1.1: names are tokens, values tokens or quoted strings",
        b"1;\x01\r\na\r\n0\r\n\r\n",
        lambda part: re.search(rb"(?m)^[0-9A-Fa-f]+[ \t]*;[^\n]*(?:[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n))", part),
    ),
    Difference(
        "empty line in front of a request", LOOSER, (REQUEST,),
        "RFC 9112 2.2: a server SHOULD ignore at least one",
        b"\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
        lambda part: part.startswith(b"\r"),
    ),
    Difference(
        "bytes above ASCII in the target", LOOSER, (REQUEST,),
        "RFC 9110 7.7: a proxy passes path and query on unchanged; clients do send raw UTF-8, and no delimiter is in it",
        b"GET /\xc3\xa9 HTTP/1.1\r\nHost: h\r\n\r\n",
        lambda part: re.search(rb"[\x80-\xff]", words(part)[1]),
    ),
    Difference(
        "empty elements in Transfer-Encoding", LOOSER, HEADS,
        "RFC 9110 5.6.1.2: a recipient MUST parse and ignore empty list elements; one field goes on",
        b"GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: , chunked ,\r\n\r\n",
        listed_chunked,
    ),
    Difference(
        "one length in several spellings", LOOSER, ALL,
        "RFC 9110 8.6, RFC 9112 6.3: 1*DIGIT, and a list of the same number is that number; one numeral goes on",
        b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 5, 05\r\n\r\n",
        spelled_lengths,
    ),
    Difference(
        "blanks in front of a colon", LOOSER, (RESPONSE,),
        "RFC 9112 5.1: a proxy MUST remove them from a response",
        b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
        lambda part: re.search(rb"\n[^\s:]+[ \t]+:", part),
    ),
    Difference(
        "101", LOOSER, (RESPONSE,),
        "RFC 9110 15.2.2: whether it was asked for is known to the proxy, not to the codec",
        b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\n\r\n",
        lambda part: re.match(rb"HTTP/1\.\d 101\b", part),
    ),
    Difference(
        "long chunk sizes", LOOSER, (BODY,),
        "RFC 9112 7.1: 1*HEXDIG, leading zeros among them; h11 takes 20",
        b"000000000000000000001\r\na\r\n0\r\n\r\n",
        lambda part: re.search(rb"(?m)^[0-9A-Fa-f]{21,}", part),
    ),
    Difference(
        "blanks in front of a chunk extension", LOOSER, (BODY,),
        "RFC 9112 7.1.1: BWS in front of the `;` MUST be parsed and removed",
        b"1 ;x\r\na\r\n0\r\n\r\n",
        lambda part: re.search(rb"(?m)^[0-9A-Fa-f]+[ \t]+;", part),
    ),
    Difference(
        "Transfer-Encoding in trailers", LOOSER, (BODY,),
        "RFC 9110 6.5.1: a trailer field does not frame; it is dropped",
        b"0\r\nTransfer-Encoding: gzip\r\n\r\n",
        lambda part: fields(part, b"transfer-encoding"),
    ),
]

# What says that no content follows makes Transfer-Encoding of an answer meaningless.
WITHOUT_CONTENT = Difference(
    "Transfer-Encoding of an answer without content", LOOSER, (RESPONSE,),
    "RFC 9112 6.3 item 1: such an answer ends with its head, whatever fields are present; the field is dropped",
    b"HTTP/1.1 304 x\r\nTransfer-Encoding: gzip\r\n\r\n",
    lambda part: fields(part, b"transfer-encoding"),
)
