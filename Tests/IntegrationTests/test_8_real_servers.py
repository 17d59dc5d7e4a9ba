"""Real servers and clients: gunicorn with the uvicorn worker behind the proxy, curl before it."""

import hashlib
import os
import shutil
import signal
import subprocess

import pytest
from websockets.sync.client import connect as websocket_connect

from harness import content
from harness.addresses import connect, is_unix
from harness.client import get, post, post_chunked
from harness.gunicorn import Gunicorn, RealLoad
from harness.stream import eventually


@pytest.fixture
def servers(start, folder):
    """Two gunicorns, and the proxy before them."""
    running = []
    try:
        for name in ("first", "second"):
            running.append(Gunicorn(start.address(), folder, name))
        wire = start(upstreams=0, addresses=[server.address for server in running])
        yield wire, running
    finally:
        for server in running:
            if server.program.alive():
                server.stop()


def test_requests_of_all_kinds(servers):
    """Rules 15, 35: bodies in both framings; both gunicorns answer."""
    wire, _ = servers
    client = wire.client()
    masters = set()
    for number in range(20):
        body = content.BLOCK[:number * 1000]
        data = post(body, b"/p") if number % 2 else post_chunked([body[:500], body[500:]], b"/p")
        path, count, digest, master = client.exchange(data).body.split()
        assert (path, int(count), digest.decode()) == (b"/p", len(body), hashlib.sha256(body).hexdigest())
        masters.add(master)
    assert len(masters) == 2
    assert client.exchange(get(b"/events")).body == b"data: 0\n\ndata: 1\n\ndata: 2\n\n"
    fields = client.exchange(get(b"/scope", [(b"X-Test", b"caf\xc3\xa9")])).body.split(b"\n")
    assert b"x-test: caf\xc3\xa9" in fields and b"x-forwarded-for: 127.0.0.1" in fields


def test_websocket_through_uvicorn(servers):
    """Rule 34: with a library at both ends."""
    wire, _ = servers
    with websocket_connect(f"ws://{wire.proxy.address}/chat", sock=connect(wire.proxy.address), proxy=None) as socket:
        for message in ("hello", os.urandom(100000), ""):
            socket.send(message)
            assert socket.recv(10) == message


def test_rolling_restart_of_real_gunicorns(servers):
    """Rule 36: SIGTERM to each in turn under a load of GETs; no request fails."""
    wire, running = servers
    load = RealLoad(wire, posting=False)
    load.wait_for(50)
    for server in running:
        server.stop()
        load.wait_for(50)
        server.start()
        load.wait_for(50)
    load.finish()
    assert not load.failures, load.failures[:5]


def test_new_worker_is_no_restart_and_a_restart_is_one(servers):
    """A worker on asyncio calls listen(2) again on the socket it inherits; only another socket is another gunicorn."""
    wire, running = servers
    if wire.proxy.name != "galaxy-lb" or not is_unix(running[0].address):
        pytest.skip("about galaxy-lb's incarnations, which unix sockets have")

    def master_of_each():
        """The masters that answer, each on a connection of its own."""
        return {wire.client().exchange(get(fields=[(b"Connection", b"close")])).body.split()[3] for _ in range(8)}

    def restarts():
        return wire.program.log().count(b"upstream was restarted")
    eventually(lambda: len(master_of_each()) == 2, "both answer")
    server = running[0]
    with open(f"/proc/{server.program.pid}/task/{server.program.pid}/children", encoding="ascii") as file:
        worker = int(file.read().split()[-1])
    os.kill(worker, signal.SIGKILL)
    eventually(lambda: server.program.log().count(b"Application startup complete") >= 3, "a new worker", 40)
    eventually(lambda: len(master_of_each()) == 2, "both answer")
    assert restarts() == 0, wire.program.tail()
    server.stop()
    server.start()
    eventually(lambda: len(master_of_each()) == 2 and restarts() == 1, "the restart is noticed", 20)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_uploads_and_downloads(servers, folder):
    """Rules 16, 27: curl waits for 100 before a large body."""
    wire, _ = servers
    size = 4 << 20
    path = f"{folder}/upload"
    with open(path, "wb") as file:
        for piece in content.pieces(size):
            file.write(piece)
    for extra in (["-H", "Expect: 100-continue"], ["-H", "Transfer-Encoding: chunked"], ["--http1.0"]):
        done = subprocess.run(
            ["curl", "-sS", "--max-time", "30", *extra, "-T", path, f"http://{wire.proxy.address}/curl"],
            capture_output=True, timeout=40, check=True)
        assert done.stdout.split()[:3] == [b"/curl", b"%d" % size, content.digest(size).encode()]


def test_socket_of_a_gunicorn_that_is_gone(servers):
    """Rule 35: with both gone an error at once; service when one is back."""
    wire, running = servers
    for server in running:
        server.stop()
        assert not is_unix(server.address) or not os.path.exists(server.address[5:])
    assert wire.client().exchange(get()).status in (502, 503)
    running[0].start()
    eventually(lambda: wire.client().exchange(get()).status == 200, "service returns", 8, 0.05)
