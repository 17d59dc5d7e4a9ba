"""A request in the steady state allocates no memory: counted in the built program, not timed."""

import os
import select
import shutil
import socket
import struct
import subprocess

import pytest

from harness.addresses import connect, free_port, listen
from harness.process import Program, is_sanitized
from harness.stream import eventually

FOLDER = os.path.dirname(__file__)
REPOSITORY = os.path.abspath(os.path.join(FOLDER, "..", ".."))
BINARY = os.path.abspath(os.environ.get("GALAXY_LB", os.path.join(REPOSITORY, ".build/release/galaxy-lb")))
# Without optimization, and under a sanitizer, Swift allocates where a release doesn't.
IS_RELEASE = "debug" not in os.path.realpath(BINARY).split(os.sep) and not is_sanitized(BINARY)
COMPILER = next(filter(None, map(shutil.which, ("gcc", "cc", "clang"))), None)

pytestmark = [
    pytest.mark.galaxy_lb,
    pytest.mark.skipif(not IS_RELEASE, reason="not a release build"),
    pytest.mark.skipif(COMPILER is None, reason="no C compiler"),
]

COUNTER = struct.Struct("qq")
THREADS = 64
# Requests: before anything is counted, and while it is.
WARM_UP = 320
COUNTED = 800

HEADERS = (b"Host: galaxy.example.org\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: application/json\r\n"
           b"Cookie: galaxysession=" + b"0123456789abcdef" * 8 + b"\r\n")
GET = b"GET /api/histories HTTP/1.1\r\n" + HEADERS + b"\r\n"
BODY = b'{"name": "a history"}'
POST = (b"POST /api/histories HTTP/1.1\r\n" + HEADERS
        + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(BODY))
ANSWER = (b"HTTP/1.1 200 OK\r\nserver: uvicorn\r\ncontent-length: 100\r\ncontent-type: application/json\r\n\r\n"
          + b"x" * 100)

# The pieces of a request, and how many connections have one under way at the same time.
KINDS = {
    "get": ([GET], 16),
    "post in one piece": ([POST + BODY], 16),
    "post whose body follows": ([POST, BODY], 16),
    "many at a time": ([GET], 400),
}


class Sums:
    """The counts of all threads but the main one, which carries no traffic."""

    def __init__(self, path):
        self.path = path
        with open(path, "wb") as file:
            file.truncate(THREADS * COUNTER.size)

    def read(self, program):
        with open(self.path, "rb") as file:
            return sum(count for thread, count in COUNTER.iter_unpack(file.read()) if thread != program.pid)


@pytest.fixture(name="counted", scope="module")
def counted_fixture(tmp_path_factory):
    """The proxy with the counts of its allocations, in front of a socket that nobody answers on by itself."""
    folder = tmp_path_factory.mktemp("allocations")
    library = str(folder / "count.so")
    subprocess.run([COMPILER, "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", library,
                    os.path.join(FOLDER, "allocations", "count.c")], check=True, timeout=60)
    upstream = listen(f"unix:{folder}/upstream.sock")
    address = f"127.0.0.1:{free_port()}"
    sums = Sums(str(folder / "counts"))
    file = folder / "galaxy-lb.yml"
    file.write_text(f'listen: ["{address}"]\nthreads: 1\ncontrol: off\n'
                    f'pools: {{main: {{upstreams: ["unix:{folder}/upstream.sock"]}}}}\n')
    environment = {**os.environ, "LD_PRELOAD": library, "ALLOCATION_COUNTS": sums.path}
    program = Program([BINARY, "--config", str(file)], str(folder / "log"), environment)
    try:
        eventually(lambda: b"NOTICE listening" in program.log(), "it listens", 15)
        yield program, sums, address, upstream
    finally:
        program.kill()
        upstream.close()


def receive(connection, end, length=0):
    """Reads up to `end` and `length` bytes behind it."""
    received = b""
    while end not in received or len(received) < received.index(end) + len(end) + length:
        piece = connection.recv(65536)
        assert piece, received
        received += piece
    return received


class Traffic:
    """Connections that all have a request under way at the same time, and the upstream's ends of them."""

    def __init__(self, address, upstream, connections):
        self.clients = [connect(address, 10) for _ in range(connections)]
        self.upstream = upstream
        # What the upstream has received on each of its connections since its last answer there.
        self.received = {}

    def turn(self, pieces):
        """A request on each connection, each with its answer. The upstream has received each piece of it before the
        next one is sent."""
        content = b""
        for number, piece in enumerate(pieces):
            for client in self.clients:
                client.sendall(piece)
            content += piece if number else piece.partition(b"\r\n\r\n")[2]
            busy = self.collect(content)
        for server in busy:
            self.received[server] = b""
            server.sendall(ANSWER)
        for client in self.clients:
            assert receive(client, b"\r\n\r\n", 100).startswith(b"HTTP/1.1 200 OK\r\n")

    def collect(self, content):
        """The connections on which requests have come, all of them as far as `content`."""
        while True:
            busy = [server for server, received in self.received.items() if received.endswith(b"\r\n\r\n" + content)]
            if len(busy) == len(self.clients):
                return busy
            ready, _, _ = select.select([self.upstream, *self.received], [], [], 10)
            assert ready, "nothing comes"
            for connection in ready:
                if connection is self.upstream:
                    self.received[connection.accept()[0]] = b""
                elif piece := connection.recv(65536):
                    self.received[connection] += piece
                else:
                    connection.close()
                    del self.received[connection]

    def close(self):
        for connection in [*self.clients, *self.received]:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()


@pytest.mark.parametrize("kind", KINDS)
def test_request_allocates_nothing(counted, kind):
    """An allocation for each request would be seen hundreds of times; what the clock brings about, a few."""
    program, sums, address, upstream = counted
    pieces, connections = KINDS[kind]
    traffic = Traffic(address, upstream, connections)
    try:
        for _ in range(0, WARM_UP, connections):
            traffic.turn(pieces)
        found = []
        for _ in range(3):
            before = sums.read(program)
            for _ in range(0, COUNTED, connections):
                traffic.turn(pieces)
            found.append(sums.read(program) - before)
    finally:
        traffic.close()
    # The counting works: the connections alone have taken memory.
    assert sums.read(program) > connections
    assert min(found) <= COUNTED // 100, f"allocations of {COUNTED} requests, three times: {found}"
