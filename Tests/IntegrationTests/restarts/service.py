"""A server as far as a restart sees one: a process with a socket. A test decides how it starts and ends.

`service.py FOLDER NAME` listens on FOLDER/NAME.sock and answers with the version of FOLDER/lib/galaxy/version.py as it
was at its start. It looks for these files in FOLDER:

| file | while it is there |
|---|---|
| `NAME.exit` | a start ends with the status in it |
| `NAME.delay` | a start takes so many seconds longer |
| `NAME.hold-boot` | a start goes on, without a socket |
| `NAME.mute` | what is started accepts connections, and never answers |
| `NAME.old` | the version in it is answered, not that of the code |
| `NAME.hold-stop` | it does not end, as if it had requests that take long |
| `hold-requests` | requests to `/held` are not answered, `/half-event` is in the middle of its second event |

Like gunicorn it removes its socket first when it is told to end, and then lets requests end. Each POST is noted in
FOLDER/executed. `/events` and `/half-event` are endless streams of server-sent events, `/tunnel` is a WebSocket that
sends short messages back.
"""

import base64
import hashlib
import http.server
import json
import os
import signal
import socketserver
import sys
import threading
import time

FOLDER, NAME = sys.argv[1:]
SOCKET = f"{FOLDER}/{NAME}.sock"
INTERVAL = 0.01


def path(knob):
    """The file of a knob of this service."""
    return f"{FOLDER}/{NAME}.{knob}"


def text(file):
    """What is in a file; None if there is none."""
    try:
        with open(file, encoding="utf-8") as opened:
            return opened.read()
    except FileNotFoundError:
        return None


def wait_while(file):
    """Returns when the file is gone."""
    while os.path.exists(file):
        time.sleep(INTERVAL)


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Knows how many requests it has."""

    daemon_threads = True
    request_queue_size = 128
    in_flight = 0
    lock = threading.Lock()

    def count(self, change):
        with self.lock:
            self.in_flight += change


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers."""

    protocol_version = "HTTP/1.1"
    # An idle connection is closed then, as gunicorn does.
    timeout = 2
    version = {}
    is_mute = False

    def do_GET(self):
        self.answered(self.get)

    def do_POST(self):
        self.answered(self.post)

    def answered(self, method):
        """A request from its head to the end of its answer."""
        self.server.count(1)
        try:
            method()
        finally:
            self.server.count(-1)

    def get(self):
        if self.is_mute:
            time.sleep(600)
        if self.path == "/held":
            wait_while(f"{FOLDER}/hold-requests")
        if self.path in ("/events", "/half-event"):
            return self.stream()
        if self.path == "/tunnel":
            return self.echo_messages()
        self.respond(self.version if self.path.endswith("/api/version") else {"path": self.path, "service": NAME})

    def stream(self):
        """Events until the other side has enough."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            self.chunk(b"data: first\n\n")
            if self.path == "/half-event":
                self.chunk(b"data: half")
                wait_while(f"{FOLDER}/hold-requests")
                self.chunk(b" and half\n\n")
            while True:
                self.chunk(b"data: more\n\n")
                time.sleep(INTERVAL)
        except OSError:
            self.close_connection = True

    def chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def echo_messages(self):
        """A WebSocket (RFC 6455) with frames of less than 126 bytes."""
        key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode())
        self.end_headers()
        self.connection.settimeout(None)
        self.close_connection = True
        while len(head := self.rfile.read(2)) == 2:
            mask = self.rfile.read(4)
            message = bytes(byte ^ mask[place % 4] for place, byte in enumerate(self.rfile.read(head[1] & 0x7F)))
            self.wfile.write(bytes([head[0], len(message)]) + message)
            if head[0] & 0x0F == 8:
                return

    def post(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        descriptor = os.open(f"{FOLDER}/executed", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.write(descriptor, f"{self.path}\n".encode())
        os.close(descriptor)
        self.respond({"path": self.path, "body": body.decode()})

    def respond(self, value):
        content = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format, *arguments):
        """Nothing: there is no client address on a unix socket."""


def read_version():
    """The answer of /api/version by the code on disk, or by the file that makes it an old one."""
    names = {}
    exec(text(path("old")) or text(f"{FOLDER}/lib/galaxy/version.py"), names)
    return {"version_major": names["VERSION_MAJOR"], "version_minor": names["VERSION_MINOR"]}


def main():
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: stopping.set())
    with open(path("pid.new"), "w", encoding="ascii") as file:
        file.write(str(os.getpid()))
    os.rename(path("pid.new"), path("pid"))
    if status := text(path("exit")):
        print(f"{NAME} can't start", flush=True)
        sys.exit(int(status))
    Handler.version = read_version()
    Handler.is_mute = os.path.exists(path("mute"))
    time.sleep(float(text(path("delay")) or 0))
    wait_while(path("hold-boot"))
    if os.path.exists(SOCKET):
        os.unlink(SOCKET)
    server = Server(SOCKET, Handler)
    os.chmod(SOCKET, 0o777)
    threading.Thread(target=server.serve_forever, args=(INTERVAL,), daemon=True).start()
    stopping.wait()
    server.shutdown()
    os.unlink(SOCKET)
    server.server_close()
    wait_while(path("hold-stop"))
    while server.in_flight and not Handler.is_mute:
        time.sleep(INTERVAL)


main()
