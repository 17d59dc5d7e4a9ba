"""A client's side of HTTP/1.1 with as little work a request as it takes, so that the CPUs are left to the others."""

import asyncio


class Cut(Exception):
    """The connection ended before the answer did; the message says where."""


class Answer:
    """A status and a complete body."""

    __slots__ = ("status", "body")

    def __init__(self, status, body):
        self.status = status
        self.body = body


class Connection(asyncio.Protocol):
    """One connection to the proxy, with at most one request on it."""

    def __init__(self, idle):
        """Takes the list that it puts itself into whenever its answer is complete and it may be used again."""
        self.idle = idle
        self.transport = None
        self.waiting = None
        self.buffer = b""
        self.head_length = 0

    def connection_made(self, transport):
        self.transport = transport

    def exchange(self, message):
        """Sends a request; the future becomes its Answer, or fails with Cut or OSError."""
        self.buffer = b""
        self.head_length = 0
        self.waiting = asyncio.get_running_loop().create_future()
        self.transport.write(message)
        return self.waiting

    def data_received(self, data):
        if self.waiting is None:
            # Unasked: nothing that is used again.
            self.transport.close()
            return
        self.buffer = self.buffer + data if self.buffer else data
        if not self.head_length:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            self.head_length = end + 4
            self.head = self.buffer[:end].lower()
            self.status = int(self.head[9:12])
            self.length = self.field(b"content-length")
            self.is_chunked = self.field(b"transfer-encoding") == b"chunked"
        body = None
        if self.length is not None:
            if len(self.buffer) >= self.head_length + int(self.length):
                body = self.buffer[self.head_length:]
        elif self.is_chunked and self.buffer.endswith(b"0\r\n\r\n"):
            body = unchunked(self.buffer, self.head_length)
        if body is not None:
            self.complete(body)

    def field(self, name):
        start = self.head.find(b"\r\n" + name + b":")
        if start < 0:
            return None
        end = self.head.find(b"\r\n", start + 2)
        return self.head[start + len(name) + 3 : end if end >= 0 else None].strip()

    def complete(self, body):
        waiting, self.waiting = self.waiting, None
        if self.field(b"connection") == b"close":
            self.transport.close()
        else:
            self.idle.append(self)
        if not waiting.done():
            waiting.set_result(Answer(self.status, body))

    def connection_lost(self, error):
        if self in self.idle:
            self.idle.remove(self)
        waiting, self.waiting = self.waiting, None
        if waiting is None or waiting.done():
            return
        if self.head_length and self.length is None and not self.is_chunked and error is None:
            waiting.set_result(Answer(self.status, self.buffer[self.head_length:]))
        elif self.head_length:
            waiting.set_exception(Cut("cut in the middle of the answer"))
        else:
            waiting.set_exception(Cut("closed without an answer" if error is None else "reset without an answer"))


def unchunked(buffer, offset):
    """The content of a chunked body from `offset` on, or None while it is not complete (RFC 9112, 7.1)."""
    pieces = []
    while True:
        end = buffer.find(b"\r\n", offset)
        if end < 0:
            return None
        size = int(buffer[offset:end].partition(b";")[0], 16)
        if size == 0:
            return b"".join(pieces)
        if len(buffer) < end + 2 + size + 2:
            return None
        pieces.append(buffer[end + 2 : end + 2 + size])
        offset = end + 2 + size + 2
