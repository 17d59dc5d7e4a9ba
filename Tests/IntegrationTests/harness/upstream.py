"""Scripted upstreams: each connection runs a script in a thread of its own."""

import os
import select
import socket
import threading
import time

from . import message
from .addresses import is_unix, listen, reset, wait_until_read
from .message import Malformed, Truncated
from .stream import ByteStream, StreamEnded, StreamSilent, eventually


class Connection:
    """One connection that the proxy made; its script reads and writes through it."""

    def __init__(self, upstream, sock, number):
        self.upstream = upstream
        self.sock = sock
        self.number = number
        self.stream = ByteStream(sock, upstream.record_limit)
        self.stream.timeout = 30
        self.requests = []
        self.closed = False
        self.thread = None
        self.idle = True
        self.idle_since = time.monotonic()
        self.retiring = False
        self.ending = False
        self.said_close = False

    def read_head(self):
        """The next request head; None when the connection ends in order."""
        with self.upstream.changed:
            if self.said_close:
                return None
            self.idle = not self.stream.buffer
            self.idle_since = time.monotonic()
        if not self.stream.buffer and not self.stream.fill():
            return None
        self.idle = False
        request = message.read_request_head(self.stream)
        if request is not None:
            with self.upstream.changed:
                self.requests.append(request)
                self.upstream.heads.append(request)
                self.upstream.changed.notify_all()
        return request

    def read_body(self, request, sink=None):
        message.read_body(self.stream, request, sink)
        with self.upstream.changed:
            request.complete = True
            self.upstream.requests.append(request)
            self.upstream.changed.notify_all()
        return request

    def read_request(self, sink=None):
        """The next whole request; None when the proxy ends the connection in order."""
        request = self.read_head()
        return None if request is None else self.read_body(request, sink)

    def send(self, data):
        self.sock.settimeout(30)
        self.sock.sendall(data)

    def send_and_wait(self, data):
        """Sends, and returns when the proxy has read it all."""
        self.send(data)
        wait_until_read(self.sock)

    def respond(self, status=200, body=b"", fields=(), reason=b"OK"):
        self.send(message.response_bytes(status, body, fields, reason))

    def wait_closed(self):
        """Returns when the proxy has ended this connection."""
        self.stream.read_to_end()

    def is_silent(self, seconds):
        """True when the proxy neither sends nor ends anything for so long."""
        return not select.select([self.sock], [], [], seconds)[0]

    def gone(self):
        """True when the proxy has ended this connection; never waits."""
        return self.stream.ended is not None or self.closed

    def end_if_idle(self, seconds):
        """Ends the connection if it has been between requests for so long."""
        with self.upstream.changed:
            quiet = self.idle and time.monotonic() - self.idle_since >= seconds
            if quiet and not self.closed:
                try:
                    self.sock.shutdown(socket.SHUT_WR)
                except OSError:
                    self.closed = True
                self.ending = True

    def shutdown_write(self):
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self):
        reset(self.sock)
        self.closed = True

    def close(self):
        self.sock.close()
        self.closed = True


def serve(answer):
    """A script that answers every whole request with `answer(connection, request)`."""
    def script(connection):
        while (request := connection.read_request()) is not None:
            answer(connection, request)
            if connection.closed:
                return
    return script


def serve_bytes(data, then_close=False):
    """A script that answers every whole request with the same bytes."""
    def answer(connection, request):
        connection.send(data)
        if then_close:
            connection.close()
    return serve(answer)


def echo(connection, request):
    """The answer tests get when they script nothing: the target and the body."""
    body = request.target + b"|" + request.body
    fields = []
    if connection.retiring:
        connection.said_close = True
        fields = [(b"Connection", b"close")]
    if request.method == b"HEAD":
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
    else:
        connection.respond(200, body, fields)


class Upstream:
    """A listening socket, and what every connection to it received."""

    def __init__(self, address, backlog=512):
        self.address = address
        self.backlog = backlog
        self.changed = threading.Condition()
        self.record_limit = 1 << 20
        self.listener = None
        self.accepter = None
        self.gates = []
        self.connections = []
        self.all_connections = []
        self.hold = None
        self.clear()
        self.listen()

    def clear(self):
        self.script = serve(echo)
        self.heads = []
        self.requests = []
        self.violations = []
        self.script_errors = []
        self.connections = []
        self.record_limit = 1 << 20

    def listen(self):
        """Opens the listening socket (anew); a unix socket gets a new inode."""
        self.serve_listener(listen(self.address, self.backlog))

    def serve_listener(self, listener):
        self.listener = listener
        self.accepter = threading.Thread(target=self.accept, args=(listener,), daemon=True)
        self.accepter.start()

    def replace_listener(self):
        """Puts a new listening socket in the place of the old one by rename (unix only).

        What the old one had in its backlog is accepted before it is closed.
        """
        old, accepter = self.listener, self.accepter
        new = listen(self.address + ".new", self.backlog)
        path = self.address[len("unix:"):]
        os.rename(path + ".new", path)
        self.serve_listener(new)
        self.drain_listener(old, accepter)
        self.retire_connections()

    def retire_connections(self, idle_seconds=1.2):
        """Ends every connection: one in use with its next answer, the others once idle.

        A POST that is on its way while an idle connection is closed is lost, whatever the proxy does: hence idle for
        longer than galaxy-lb would send one on it, unless 0 is asked for.
        """
        for connection in self.open_connections():
            connection.retiring = True

        def all_ended():
            waiting = [c for c in self.open_connections() if c.retiring and not c.ending]
            for connection in waiting:
                connection.end_if_idle(idle_seconds)
            return not waiting
        eventually(all_ended, "the old connections are ended")

    def accept(self, listener):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            if self.hold is not None:
                self.hold.wait(30)
            self.adopt(sock)

    def adopt(self, sock):
        """Runs the script on a connection."""
        sock.setblocking(True)
        if sock.family == socket.AF_INET:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self.changed:
            connection = Connection(self, sock, len(self.connections))
            connection.thread = threading.Thread(target=self.run, args=(connection,), daemon=True)
            connection.thread.start()
            self.connections.append(connection)
            self.all_connections.append(connection)
            self.changed.notify_all()

    def drain_listener(self, listener, accepter):
        """Closes a listening socket after it has accepted what is in its backlog."""
        listener.settimeout(0)
        try:
            while True:
                self.adopt(listener.accept()[0])
        except BlockingIOError:
            pass
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        accepter.join(5)

    def run(self, connection):
        try:
            self.script(connection)
        except Malformed as violation:
            self.violations.append(f"{violation} in {bytes(connection.stream.received[:600])!r}")
        except (Truncated, StreamEnded, BrokenPipeError, ConnectionResetError):
            pass
        except StreamSilent as silence:
            self.script_errors.append(str(silence))
        except OSError as error:
            if not connection.closed:
                self.script_errors.append(repr(error))
        except Exception as error:  # a mistake in a script must fail its test
            self.script_errors.append(repr(error))
        finally:
            connection.sock.close()
            connection.closed = True
            with self.changed:
                self.changed.notify_all()

    def gate(self):
        """An event for scripts to wait on; opened for them when the test ends."""
        event = threading.Event()
        self.gates.append(event)
        return event

    def wait_for(self, condition, what, timeout=10.0):
        """Waits until something that a connection recorded makes `condition` true."""
        with self.changed:
            if not self.changed.wait_for(condition, timeout):
                seen = [bytes(c.stream.received[:300]) for c in self.connections]
                raise AssertionError(f"not within {timeout} s: {what}; received {seen}")

    def wait_for_requests(self, count):
        self.wait_for(lambda: len(self.requests) >= count, f"{count} whole requests")
        return self.requests[:]

    def wait_for_heads(self, count):
        self.wait_for(lambda: len(self.heads) >= count, f"{count} request heads")
        return self.heads[:]

    def all_received(self):
        """Every byte that reached this upstream, connection by connection."""
        return [bytes(connection.stream.received) for connection in self.connections]

    def close_listener(self):
        """Stops accepting; a unix socket's file is removed, as gunicorn does."""
        if self.listener is None:
            return
        if is_unix(self.address):
            try:
                os.unlink(self.address[len("unix:"):])
            except FileNotFoundError:
                pass
        self.drain_listener(self.listener, self.accepter)
        self.listener = None

    def open_connections(self):
        return [c for c in self.all_connections if not c.closed]

    def end_connections(self):
        """Ends every connection, and waits until the proxy has ended its side too."""
        for gate in self.gates:
            gate.set()
        self.gates = []
        for connection in self.open_connections():
            try:
                connection.sock.shutdown(socket.SHUT_WR)
            except OSError:
                pass
        stuck = []
        for connection in self.open_connections():
            thread = connection.thread
            thread.join(5)
            if thread.is_alive():
                stuck.append(bytes(connection.stream.received[:200]))
                try:
                    connection.sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
                thread.join(5)
        self.all_connections = []
        assert not stuck, f"the proxy kept connections that upstream had ended: {stuck}"

    def drop_connections(self):
        """Ends every connection at once, without judging the proxy."""
        for gate in self.gates:
            gate.set()
        self.gates = []
        for connection in self.open_connections():
            try:
                connection.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            connection.thread.join(5)
        self.all_connections = []

    def check(self):
        """Fails when the proxy sent something that no sender may generate."""
        assert not self.violations, f"malformed HTTP reached upstream: {self.violations}"
        assert not self.script_errors, f"the script failed: {self.script_errors}"

    def stop(self):
        self.close_listener()
        self.end_connections()
