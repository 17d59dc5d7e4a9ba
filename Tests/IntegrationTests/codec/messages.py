"""Messages to compare readers on: most of them valid, many with what readers disagree on, some broken at random."""

import random

SPECIAL = [b"\x00", b"\x01", b"\t", b"\n", b"\r", b"\r\n", b" ", b",", b":", b";", b"_", b"\x0b", b"\x7f", b"\x80", b"\xff"]
VALUES = [b"1", b"v w", b"", b"a, b ,,c", b":", b'"q"', b"\xc3\xa9", b"x\ty"]
NAMES = [b"A", b"X-Y", b"Set-Cookie", b"ETag", b"a!b", b"x_y", b"Accept", b"Keep-Alive"]
LENGTHS = [b"0", b"1", b"5", b"007", b"5, 5", b"5,05", b"9223372036854775807", b"000000000000000000000005"]
BAD_LENGTHS = [b"5,6", b"x", b"", b"-1", b"+5", b"5 5", b"9223372036854775808", b"99999999999999999999", b"5,", b"0x5"]
CODINGS = [b"chunked"] * 4 + [b"Chunked", b", chunked ,", b"gzip, chunked", b"chunked, chunked", b"", b"identity"]
HOSTS = [b"h", b"h:80", b"[::1]", b"[::1]:80", b"1.2.3.4:", b"a_b.c", b"%41"]
BAD_HOSTS = [b"", b"a b", b"h:x", b"h:65536", b"u@h", b"[::1", b"[1]", b"[1:2:3:4:5:6:7:8:9]", b"[::1.2.3.4]:1", b"a/b"]
TARGETS = [b"/", b"/a/b?c=d", b"//x", b"http://h/p?q", b"http://h", b"HTTPS://h:1?q", b"/%00#f", b"http://[::1]/"]
BAD_TARGETS = [b"*", b"http://", b"x", b"", b"/\xc3\xa9", b"ftp://h/", b"http://u@h/", b"/a b", b"h:80", b"http://[x]/"]
REQUEST_FIELDS = [
    b"Connection: close", b"Connection: keep-alive, A", b"connection: ,x-y,, Host", b"TE: trailers", b"Upgrade: h2c",
    b"X-Forwarded-For: 1.2.3.4", b"X_Forwarded_For: 1", b"Content_Length: 3", b"Remote-User: u", b"REMOTE_USER: u",
    b"Forwarded: for=x", b"Expect: x", b"Trailer: A", b"X-Request-ID: 1", b"Under_Score: 1", b"HTTP2-Settings: x",
]


class Messages:
    """A source of messages that its seed alone decides."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def _mostly(self, good: list[bytes], bad: list[bytes]) -> bytes:
        return self.random.choice(good if self.random.random() < 0.85 else bad)

    def _chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def _field(self) -> bytes:
        colon = self.random.choice([b":", b": ", b":  ", b":\t", b": \t "])
        end = self.random.choice([b"", b"", b"", b" ", b"\t "])
        return self.random.choice(NAMES) + colon + self.random.choice(VALUES) + end

    def _framing(self) -> list[bytes]:
        lines = []
        if self._chance(0.3):
            lines.append(b"Content-Length: " + self._mostly(LENGTHS, BAD_LENGTHS))
            if self._chance(0.1):
                lines.append(b"content-length:" + self._mostly(LENGTHS, BAD_LENGTHS))
        if self._chance(0.3 if not lines else 0.05):
            lines.append(b"Transfer-Encoding: " + self.random.choice(CODINGS))
        return lines

    def request(self) -> bytes:
        """A request, its body, and at times what follows it."""
        method = self.random.choice([b"GET", b"POST", b"HEAD", b"OPTIONS", b"PUT", b"M-SEARCH", b"get"])
        if self._chance(0.02):
            method = b"CONNECT"
        version = self._mostly([b"1.1", b"1.1", b"1.1", b"1.0"], [b"1.2", b"2.0", b"0.9", b"1", b"1.10"])
        lines = [self._field() for _ in range(self.random.randrange(5))]
        lines += self.random.sample(REQUEST_FIELDS, self.random.randrange(3))
        lines += self._framing()
        if self._chance(0.05):
            lines += [b"Upgrade: websocket", b"Connection: Upgrade"]
        if self._chance(0.05):
            lines.append(b"Expect: 100-continue")
        if self._chance(0.95):
            lines.append(b"Host: " + self._mostly(HOSTS, BAD_HOSTS))
        front = self.random.choice([b""] * 20 + [b"\r\n", b"\n", b"\r\n\r\n"])
        return front + self._finish(b" ".join([method, self._mostly(TARGETS, BAD_TARGETS), b"HTTP/" + version]), lines)

    def response(self) -> bytes:
        """A response and its body."""
        status = self._mostly([b"200"] * 6 + [b"204", b"304", b"404", b"100", b"103"], [b"101", b"099", b"20", b"2000"])
        reason = self.random.choice([b" OK"] * 5 + [b" ", b"", b" Not  Found\t\xe9", b" \x01"])
        version = self._mostly([b"1.1", b"1.1", b"1.1", b"1.0"], [b"1.9", b"2.0", b"1"])
        lines = [self._field() for _ in range(self.random.randrange(5))] + self._framing()
        if self._chance(0.1):
            lines.append(self.random.choice([b"Connection: close", b"Connection: A", b"A : b", b"Upgrade: h2c"]))
        return self._finish(b"HTTP/" + version + b" " + status + reason, lines)

    def _finish(self, first: bytes, lines: list[bytes]) -> bytes:
        self.random.shuffle(lines)
        head = b"\r\n".join([first, *lines, b"", b""])
        body = self.chunked() if any(line.lower().startswith(b"transfer") for line in lines) else b"0123456789"
        return self.broken(head, 0.25) + self.random.choice([body, body, b""])

    def chunked(self) -> bytes:
        """A chunked body, and at times what follows it."""
        text = b""
        for _ in range(self.random.randrange(4)):
            content = self.random.choice([b"x", b"\r\n", b"0\r\n\r\n"]) * self.random.randrange(1, 12)
            size = b"%x" % len(content) if self._chance(0.5) else b"%X" % len(content)
            size = self.random.choice([b""] * 6 + [b"00", b"0" * 21]) + size
            text += size + self._extension() + b"\r\n" + content + b"\r\n"
        text += self.random.choice([b"0", b"0", b"00", b"0;x"]) + b"\r\n"
        for _ in range(self.random.choice([0, 0, 0, 1, 3])):
            text += self._field() + b"\r\n"
        if self._chance(0.05):
            text += self.random.choice([b"Transfer-Encoding: x", b"Content-Length: 3", b"Host: x"]) + b"\r\n"
        if self._chance(0.02):
            text = b"8000000000000000\r\n" + text
        return self.broken(text + b"\r\n", 0.25) + self.random.choice([b"", b"", b"GET / HTTP/1.1\r\n"])

    def _extension(self) -> bytes:
        return self.random.choice([b""] * 8 + [b";a", b" ;b=\"c\"", b";", b" ", b"\t", b";a=b ", b";\x01", b";\ra"])

    def broken(self, data: bytes, probability: float) -> bytes:
        """The bytes, with a given probability changed in one to three places."""
        if not self._chance(probability):
            return data
        for _ in range(self.random.randrange(1, 4)):
            if not data:
                break
            place = self.random.randrange(len(data))
            new = self.random.choice(SPECIAL) if self._chance(0.7) else bytes([self.random.randrange(256)])
            kind = self.random.randrange(5)
            if kind == 0:
                data = data[:place] + new + data[place + 1 :]
            elif kind == 1:
                data = data[:place] + new + data[place:]
            elif kind == 2:
                data = data[:place] + data[place + 1 :]
            elif kind == 3:
                data = data[:place] + data[place : place + 20] + data[place:]
            elif self._chance(0.3):
                data = data[:place]
        return data
