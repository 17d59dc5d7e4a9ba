"""A raw client: sends bytes in any segmentation and reads answers strictly."""

import errno
import socket

from . import message
from .addresses import connect, reset, wait_until_read
from .stream import ByteStream


class Client:
    """One connection to the proxy."""

    def __init__(self, address, receive_buffer=None, segment=None):
        self.sock = connect(address, segment=segment)
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.stream = ByteStream(self.sock)

    def send(self, data):
        """Sends all of it; the proxy may close first, which is for the reader to judge."""
        self.sock.settimeout(30)
        try:
            self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def send_pieces(self, pieces):
        """Sends each piece only after the proxy has read the one before it."""
        for piece in pieces:
            if not self.send(piece):
                return False
            wait_until_read(self.sock)
        return True

    def read_head(self):
        """The next head, interim or final."""
        return message.read_response_head(self.stream)

    def read_response(self, method=b"GET", sink=None):
        """The final response with its body, and the interim heads before it."""
        interim = []
        while True:
            response = self.read_head()
            if response.status >= 200 or response.status == 101:
                break
            interim.append(response)
        response.interim = interim
        return self.read_body(response, method, sink)

    def read_body(self, response, method=b"GET", sink=None):
        """What follows a head that `read_head` has read."""
        message.frame_response(response, method)
        return message.read_body(self.stream, response, sink)

    def exchange(self, data, method=None, sink=None):
        """Sends a request and reads its answer."""
        self.send(data)
        return self.read_response(method or data.split(b" ", 1)[0], sink)

    def expect_close(self):
        """Fails unless the proxy closes without sending another byte."""
        rest = self.stream.read_to_end()
        assert rest == b"", f"bytes before the close: {rest[:300]!r}"

    def shutdown_write(self):
        """Half-closes; the proxy may have ended the connection before."""
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            if error.errno != errno.ENOTCONN:
                raise

    def reset(self):
        reset(self.sock)

    def close(self):
        self.sock.close()


def get(target=b"/", fields=(), host=b"test.example", version=b"1.1", method=b"GET"):
    """The bytes of a request without a body."""
    lines = [method + b" " + target + b" HTTP/" + version]
    if host is not None:
        lines.append(b"Host: " + host)
    lines += [name + b": " + value for name, value in fields]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def post(body, target=b"/", fields=(), method=b"POST"):
    """The bytes of a request with a Content-Length."""
    length = (b"Content-Length", b"%d" % len(body))
    return get(target, (length, *fields), method=method) + body


def post_chunked(pieces, target=b"/", fields=(), trailers=b"", method=b"POST"):
    """The bytes of a request with a chunked body."""
    coding = (b"Transfer-Encoding", b"chunked")
    return get(target, (coding, *fields), method=method) + message.chunked(pieces, trailers)
