"""A socket read strictly: exactly what is asked for, or a named reason why not."""

import socket
import time

READ_TIMEOUT = 8.0


class StreamEnded(Exception):
    """The peer closed before the bytes that were asked for had arrived."""


class StreamReset(StreamEnded):
    """The peer reset the connection."""


class StreamSilent(AssertionError):
    """Nothing came within the bound: a hang, which no test expects."""


class ByteStream:
    """Buffered reads with a bound in time; keeps what it read up to a limit."""

    def __init__(self, sock, record_limit=1 << 20):
        self.sock = sock
        self.buffer = bytearray()
        self.received = bytearray()
        self.received_count = 0
        self.record_limit = record_limit
        self.timeout = READ_TIMEOUT
        self.ended = None

    def fill(self, size=1 << 16):
        """Reads once from the socket; False when the peer has ended."""
        if self.ended == "eof":
            return False
        if self.ended == "reset":
            raise StreamReset("connection reset")
        self.sock.settimeout(self.timeout)
        try:
            data = self.sock.recv(size)
        except (TimeoutError, socket.timeout):
            raise StreamSilent(
                f"nothing in {self.timeout} s; buffered {bytes(self.buffer[:200])!r}"
            ) from None
        except (ConnectionResetError, BrokenPipeError):
            self.ended = "reset"
            raise StreamReset("connection reset") from None
        if not data:
            self.ended = "eof"
            return False
        self.received_count += len(data)
        room = self.record_limit - len(self.received)
        if room > 0:
            self.received += data[:room]
        self.buffer += data
        return True

    def take(self, count):
        taken = bytes(self.buffer[:count])
        del self.buffer[:count]
        return taken

    def read_exactly(self, count):
        while len(self.buffer) < count:
            if not self.fill():
                raise StreamEnded(f"wanted {count} bytes, had {len(self.buffer)}")
        return self.take(count)

    def read_past(self, delimiter, limit):
        """Everything through the first `delimiter`."""
        start = 0
        while True:
            found = self.buffer.find(delimiter, start)
            if found >= 0:
                return self.take(found + len(delimiter))
            if len(self.buffer) > limit:
                raise AssertionError(f"no {delimiter!r} within {limit} bytes")
            start = max(0, len(self.buffer) - len(delimiter) + 1)
            if not self.fill():
                raise StreamEnded(f"no {delimiter!r} in {bytes(self.buffer[:200])!r}")

    def read_some(self):
        """What has arrived, at least one byte; empty when the peer has ended."""
        if not self.buffer and not self.fill():
            return b""
        return self.take(len(self.buffer))

    def read_to_end(self, limit=1 << 26):
        """All bytes until the peer closes or resets."""
        try:
            while len(self.buffer) <= limit and self.fill():
                pass
        except StreamReset:
            pass
        assert self.ended, f"more than {limit} bytes and no end"
        return self.take(len(self.buffer))

    def at_end(self):
        """True when the peer has ended and no byte is left; waits for either."""
        try:
            return not self.buffer and not self.fill()
        except StreamReset:
            return True


def eventually(condition, what, timeout=10.0, interval=0.005):
    """Waits for `condition` to be true, with a bound; returns its value."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what}")
        time.sleep(interval)
