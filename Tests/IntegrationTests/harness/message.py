"""A strict reader of HTTP/1.1 messages (RFC 9112), for both ends of the proxy.

It accepts only what a sender may generate, so that whatever leaves the proxy
is checked on every test. It shares no code with the proxy or with h11.
"""

import re
from dataclasses import dataclass, field

from .stream import StreamEnded

HEAD_LIMIT = 1 << 20
TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
REQUEST_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([^\x00-\x20\x7f]+) HTTP/1\.([01])\Z")
# Three digits (RFC 9112 4). What a class beyond 5 means is for the client to judge (RFC 9110 15).
STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: ([\t\x20-\x7e\x80-\xff]*))\Z")
FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([^\x00\r\n]*?)[ \t]*\Z")
CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})((?:;[\t\x20-\x7e\x80-\xff]*)?)\Z")


class Malformed(AssertionError):
    """Bytes that no sender may generate."""


class Truncated(Exception):
    """The message ended before its framing said so; `partial` is what came."""

    def __init__(self, partial, cause):
        super().__init__(f"{cause}; had {len(partial.body)} body bytes")
        self.partial = partial
        self.cause = cause


@dataclass
class Message:
    fields: list = field(default_factory=list)
    body: bytes = b""
    body_count: int = 0
    trailers: list = field(default_factory=list)
    framing: str = "none"
    length: int = 0
    chunk_sizes: list = field(default_factory=list)
    head: bytes = b""

    def values(self, name):
        """The values of every line of a field, in order."""
        wanted = name.lower()
        return [value for key, value in self.fields if key.lower() == wanted]

    def value(self, name):
        """The value of a field that stands at most once."""
        values = self.values(name)
        assert len(values) <= 1, f"{name!r} stands {len(values)} times: {values}"
        return values[0] if values else None

    def tokens(self, name):
        """The list elements of a field, folded to lower case."""
        parts = b",".join(self.values(name)).split(b",")
        return [part.strip(b" \t").lower() for part in parts if part.strip(b" \t")]


@dataclass
class Request(Message):
    method: bytes = b""
    target: bytes = b""
    version: int = 1
    complete: bool = False


@dataclass
class Response(Message):
    version: int = 1
    status: int = 0
    reason: bytes = b""
    interim: list = field(default_factory=list)


def parse_fields(lines):
    fields = []
    for line in lines:
        match = FIELD.match(line)
        if not match:
            raise Malformed(f"field line {line!r}")
        fields.append((match[1], match[2]))
    return fields


def split_head(head):
    """The lines of a head, each of which must end in CRLF and hold neither."""
    lines = head[:-4].split(b"\r\n")
    for line in lines:
        if b"\r" in line or b"\n" in line or b"\0" in line:
            raise Malformed(f"CR, LF or NUL inside {line!r}")
    return lines


def framing_of(message):
    """Content-Length and Transfer-Encoding of a message, never both, never twice."""
    codings = message.values(b"Transfer-Encoding")
    lengths = message.values(b"Content-Length")
    if codings and lengths:
        raise Malformed("Content-Length together with Transfer-Encoding")
    if codings:
        if [coding.lower() for coding in codings] != [b"chunked"]:
            raise Malformed(f"Transfer-Encoding {codings}")
        return "chunked", 0
    if lengths:
        if len(lengths) > 1 or not re.match(rb"[0-9]+\Z", lengths[0]) or int(lengths[0]) >> 63:
            raise Malformed(f"Content-Length {lengths}")
        return "length", int(lengths[0])
    return "none", 0


def read_request_head(stream):
    """One request head; None when the peer ends where a request could begin."""
    if not stream.buffer and not stream.fill():
        return None
    head = stream.read_past(b"\r\n\r\n", HEAD_LIMIT)
    lines = split_head(head)
    match = REQUEST_LINE.match(lines[0])
    if not match:
        raise Malformed(f"request line {lines[0]!r}")
    request = Request(
        method=match[1], target=match[2], version=int(match[3]), head=head,
        fields=parse_fields(lines[1:]),
    )
    request.framing, request.length = framing_of(request)
    if len(request.values(b"Host")) != 1:
        raise Malformed(f"Host stands {len(request.values(b'Host'))} times in {head!r}")
    return request


def read_response_head(stream):
    """One response head, interim or final."""
    head = stream.read_past(b"\r\n\r\n", HEAD_LIMIT)
    lines = split_head(head)
    match = STATUS_LINE.match(lines[0])
    if not match:
        raise Malformed(f"status line {lines[0]!r}")
    response = Response(
        version=int(match[1]), status=int(match[2]), reason=match[3] or b"", head=head,
        fields=parse_fields(lines[1:]),
    )
    response.framing, response.length = framing_of(response)
    return response


def read_chunks(stream, message):
    """The data of a chunked body, piece by piece; fills in the trailers at the end."""
    while True:
        line = stream.read_past(b"\r\n", 1 << 16)[:-2]
        match = CHUNK_LINE.match(line)
        if not match:
            raise Malformed(f"chunk line {line!r}")
        size = int(match[1], 16)
        if size == 0:
            break
        message.chunk_sizes.append(size)
        left = size
        while left:
            if not stream.buffer and not stream.fill():
                raise StreamEnded("inside a chunk")
            piece = stream.take(min(left, len(stream.buffer)))
            left -= len(piece)
            yield piece
        if stream.read_exactly(2) != b"\r\n":
            raise Malformed("chunk data is not followed by CRLF")
    lines = []
    while True:
        line = stream.read_past(b"\r\n", HEAD_LIMIT)[:-2]
        if not line:
            break
        lines.append(line)
    message.trailers = parse_fields(lines)


def read_counted(stream, count):
    while count:
        if not stream.buffer and not stream.fill():
            raise StreamEnded(f"{count} bytes short")
        piece = stream.take(min(count, len(stream.buffer)))
        count -= len(piece)
        yield piece


def read_remaining(stream):
    while True:
        piece = stream.read_some()
        if not piece:
            return
        yield piece


def read_body(stream, message, sink=None):
    """Reads the body to its end into `message.body`, or hands it to `sink`."""
    pieces = {
        "chunked": lambda: read_chunks(stream, message),
        "length": lambda: read_counted(stream, message.length),
        "close": lambda: read_remaining(stream),
        "none": lambda: iter(()),
    }[message.framing]()
    collected = []
    try:
        for piece in pieces:
            message.body_count += len(piece)
            if sink is None:
                collected.append(piece)
            else:
                sink(piece)
    except StreamEnded as end:
        message.body = b"".join(collected)
        raise Truncated(message, end) from end
    message.body = b"".join(collected)
    return message


def frame_response(response, method):
    """Decides how the body of a response is delimited (RFC 9112 6.3)."""
    if method == b"HEAD" or response.status in (204, 304) or response.status < 200:
        response.framing = "none"
    elif response.framing == "none":
        response.framing = "close"


def chunked(pieces, trailers=b""):
    """A chunked body of the given pieces."""
    body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces if piece)
    return body + b"0\r\n" + trailers + b"\r\n"


def response_bytes(status=200, body=b"", fields=(), reason=b"OK"):
    """A plain response with a Content-Length."""
    lines = [b"HTTP/1.1 %d %s" % (status, reason), b"Content-Length: %d" % len(body)]
    lines += [name + b": " + value for name, value in fields]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body
