"""A control socket that plays what a test gives it, in place of a proxy's: for what only a client has to show."""

import contextlib
import json
import os
import socket
import threading
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingMixIn, UnixStreamServer


class Stream:
    """The answer that goes on: its lines are sent one by one."""

    def __init__(self, handler):
        self.handler = handler

    def line(self, event, **members):
        self.raw(json.dumps({"event": event, **members}) + "\n")

    def raw(self, text):
        """Sends any text as a piece of the answer."""
        data = text.encode() if isinstance(text, str) else text
        self.handler.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def wait_until_left(self, timeout=30):
        """Returns when the client has ended its connection."""
        self.handler.connection.settimeout(timeout)
        # A client that leaves with lines unread resets its connection.
        with contextlib.suppress(ConnectionResetError):
            assert self.handler.connection.recv(1) == b"", "the client has sent more"
        self.handler.server.control.left.set()

    def cut(self):
        """Ends the connection where it is, as a proxy does that is killed."""
        self.handler.is_cut = True
        self.handler.connection.shutdown(socket.SHUT_RDWR)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    is_cut = False

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.answer_to("GET")

    def do_POST(self):
        self.answer_to("POST")

    def answer_to(self, method):
        control = self.server.control
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        control.requests.append((method, self.path, json.loads(body) if body else None))
        answer = control.answers.get((method, self.path), (404, {"error": "no such resource"}))
        if not callable(answer):
            status, document = answer
            content = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            return
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.close_connection = True
        try:
            answer(Stream(self))
            if not self.is_cut:
                self.wfile.write(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            control.left.set()


class Server(ThreadingMixIn, UnixStreamServer):
    daemon_threads = True
    # What a script asserts is for the test to see, not for standard error.
    def handle_error(self, request, client_address):
        self.control.errors.append(client_address)


class ScriptedControl:
    """Listens on a unix socket until it is closed.

    `answers` says what comes back, by method and target: a status and a document, or a function that is given the
    `Stream` of an answer of status 200. `requests` is what was asked. `left` is set when a client went away, be it
    while it was written to or while `Stream.wait_until_left` waited for that.
    """

    def __init__(self, folder, upstreams=("main/gunicorn0", "main/gunicorn1")):
        self.path = os.path.join(folder, "scripted.sock")
        self.requests = []
        self.errors = []
        self.left = threading.Event()
        entries = [dict(zip(("pool", "name"), upstream.split("/"))) for upstream in upstreams]
        self.answers = {("GET", "/v1/upstreams"): (200, {"upstreams": entries})}
        self.server = Server(self.path, Handler)
        self.server.control = self
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()

    def play(self, script):
        """What `--graceful` is told: a function of the stream."""
        self.answers["POST", "/v1/restart"] = script

    def restarts(self):
        """The bodies of the requests for a restart."""
        return [body for method, target, body in self.requests if (method, target) == ("POST", "/v1/restart")]

    def close(self):
        self.server.shutdown()
        self.thread.join(10)
        self.server.server_close()
        os.unlink(self.path)
