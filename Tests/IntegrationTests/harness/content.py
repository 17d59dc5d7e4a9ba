"""Large bodies: made as they are sent, and checked as they are read."""

import hashlib
import random

PIECE = 1 << 18
BLOCK = random.Random(20).randbytes((1 << 20) + 7)


def pieces(size):
    """`size` bytes that repeat only after a prime-like period, in large pieces."""
    sent = 0
    while sent < size:
        start = sent % len(BLOCK)
        piece = BLOCK[start:start + min(PIECE, size - sent)]
        sent += len(piece)
        yield piece


def chunks(size):
    """The same as a chunked body, without the last chunk."""
    for piece in pieces(size):
        yield b"%x\r\n%s\r\n" % (len(piece), piece)


def digest(size):
    """The digest that the receiver of `size` bytes must get."""
    made = hashlib.sha256()
    for piece in pieces(size):
        made.update(piece)
    return made.hexdigest()


class Digest:
    """A sink that counts and digests what it is given."""

    def __init__(self):
        self.count = 0
        self.made = hashlib.sha256()

    def __call__(self, piece):
        self.count += len(piece)
        self.made.update(piece)

    def value(self):
        return self.made.hexdigest()
