"""Section 4: time-outs, clients that leave, many connections (rules 29 to 31)."""

import random
import select

import pytest

from harness.client import get, post
from harness.message import Truncated
from harness.stream import StreamEnded, eventually
from harness.upstream import echo, serve

MEBIBYTE = 1 << 20


def trickle(client, data, interval, until=60):
    """Sends a byte at each interval until the proxy speaks or closes; how many were sent."""
    sent = 0
    for i in range(min(len(data), until)):
        if select.select([client.sock], [], [], interval)[0]:
            break
        if not client.send(data[i:i + 1]):
            break
        sent += 1
    return sent


def check_ended(client):
    """408, or a close."""
    try:
        response = client.read_response()
        assert response.status == 408
        client.expect_close()
    except (StreamEnded, Truncated):
        pass


@pytest.mark.parametrize("data", [b"", b"G", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nX: "])
def test_unfinished_head_is_ended(start, data):
    """Rule 29: 408 or close."""
    wire = start(timeouts={"request_head": "600ms", "keep_alive": "600ms"})
    client = wire.client()
    client.send(data)
    check_ended(client)
    assert wire.upstream.heads == []


def test_trickled_head_is_ended(start):
    """Rule 29: the time-out is for the whole head, not for each byte."""
    wire = start(timeouts={"request_head": "1s"})
    client = wire.client()
    head = get(b"/" + b"x" * 200)
    assert trickle(client, head, 0.1, until=100) < 100
    check_ended(client)
    assert wire.upstream.heads == []


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_stalled_body_is_ended_and_upstream_released(start, framing):
    """Rule 29: inactivity; 408 or close."""
    wire = start(timeouts={"request_body": "700ms"})
    client = wire.client()
    if framing == "length":
        client.send(get(fields=[(b"Content-Length", b"100")], method=b"POST") + b"half")
    else:
        client.send(get(fields=[(b"Transfer-Encoding", b"chunked")], method=b"POST") + b"5\r\nhe")
    wire.upstream.wait_for_heads(1)
    check_ended(client)
    eventually(wire.upstream.connections[0].gone, "the upstream connection is released")
    assert wire.upstream.requests == []


def test_trickled_body_is_not_cut(start):
    """Rule 29: a moving trickle goes on for longer than the time-out."""
    wire = start(timeouts={"request_body": "1s"})
    client = wire.client()
    client.send(get(b"/slow", [(b"Content-Length", b"15")], method=b"POST"))
    assert trickle(client, b"trickled body..", 0.2) == 15
    assert client.read_response(b"POST").body == b"/slow|trickled body.."


def test_idle_connection_is_closed(start):
    """Rule 29: after the keep-alive time-out, without an answer that nobody asked for."""
    wire = start(timeouts={"keep_alive": "600ms"})
    client = wire.client()
    assert client.exchange(get()).status == 200
    client.stream.timeout = 20
    client.expect_close()


def test_connection_in_use_outlives_the_keep_alive_time_out(start):
    """Rule 29: idle means between requests."""
    wire = start(timeouts={"keep_alive": "600ms", "request_head": "600ms"})
    gate = wire.upstream.gate()

    def answer(connection, request):
        gate.wait(20)
        connection.respond(200, b"late")
    wire.upstream.script = serve(answer)
    client = wire.client()
    client.send(get())
    wire.upstream.wait_for_requests(1)
    assert not select.select([client.sock], [], [], 2)[0], "it was ended while upstream worked"
    gate.set()
    assert client.read_response().body == b"late"


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_stalled_response_body_is_visibly_incomplete(start, framing):
    """Rules 21, 29: inactivity of upstream within a body."""
    wire = start(timeouts={"response": "1s"})

    def script(connection):
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf" if framing == "length" else
                        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        connection.wait_closed()
    wire.upstream.script = script
    client = wire.client()
    client.stream.timeout = 20
    with pytest.raises((Truncated, StreamEnded)):
        client.exchange(get())
    eventually(wire.upstream.connections[0].gone, "the upstream connection is released")


def test_trickled_response_is_not_cut(start):
    """Rule 29: each event starts the time-out anew."""
    wire = start(timeouts={"response": "1s"})
    never = wire.upstream.gate()

    def answer(connection, request):
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(8):
            connection.send(b"1\r\n.\r\n")
            never.wait(0.3)
        connection.send(b"0\r\n\r\n")
    wire.upstream.script = serve(answer)
    assert wire.client().exchange(get()).body == b"." * 8


def test_slow_answer_within_the_time_out_is_delivered(start):
    """Rule 29: the time-out of the head doesn't count from the request's first byte."""
    wire = start(timeouts={"response": "5s", "request_head": "500ms", "request_body": "500ms"})
    never = wire.upstream.gate()

    def answer(connection, request):
        never.wait(1.5)
        connection.respond(200, b"slow")
    wire.upstream.script = serve(answer)
    assert wire.client().exchange(post(b"x")).body == b"slow"


def leave(client, how):
    {"close": client.close, "reset": client.reset}[how]()


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("state", ["waiting", "downloading", "uploading", "silent stream", "chunked upload"])
def test_client_that_leaves_ends_the_upstream_request(wire, state, how):
    """Rule 30: within seconds, in whatever state."""
    def script(connection):
        request = connection.read_head()
        if request.target.startswith(b"/sentinel"):
            connection.read_body(request)
            connection.respond(200, b"|")
            return
        if state == "downloading":
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (1 << 30))
            while True:
                connection.send(b"x" * 65536)
        if state == "silent stream":
            connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        connection.wait_closed()
    wire.upstream.script = script
    client = wire.client()
    if state == "uploading":
        client.send(get(fields=[(b"Content-Length", b"%d" % MEBIBYTE)], method=b"POST") + b"x" * 1000)
    elif state == "chunked upload":
        client.send(get(fields=[(b"Transfer-Encoding", b"chunked")], method=b"POST") + b"5\r\nhello\r\n")
    else:
        client.send(get())
    wire.upstream.wait_for_heads(1)
    if state in ("downloading", "silent stream"):
        client.read_head()
        client.stream.read_some()
    leave(client, how)
    eventually(wire.upstream.connections[0].gone, "the upstream request is ended", 15)
    wire.check_forwards()


def test_idle_connections_do_not_slow_others(wire):
    """Rule 31: 2000 of them, after a request each; tens of KiB for each at most."""
    wire.check_forwards()
    before = wire.program.resident()
    idle = []
    for number in range(2000):
        client = wire.client()
        idle.append(client)
        if number % 2:
            assert client.exchange(get(b"/idle")).status == 200
    wire.check_growth(before, 2000 * 32 * 1024)
    busy = wire.client()
    for number in range(200):
        assert busy.exchange(get(b"/%d" % number)).body == b"/%d|" % number
    for client in idle[1::200]:
        assert client.exchange(get(b"/again")).body == b"/again|"


def test_nothing_is_left_after_churn(wire, seed):
    """Rule 31: a thousand connections that end anyhow; the module's end counts descriptors."""
    source = random.Random(seed)

    def script(connection):
        while (request := connection.read_request()) is not None:
            ending = request.target[1:2]
            if ending == b"c":
                return
            if ending == b"r":
                connection.reset()
                return
            if ending == b"t":
                connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
                return
            echo(connection, request)
    wire.upstream.script = script
    wire.check_forwards()

    def churn(rounds):
        for _ in range(rounds):
            client = wire.client()
            kind = source.choice([b"/ok", b"/c", b"/r", b"/t"])
            data = post(b"x" * source.randint(0, 3000), kind) if source.random() < 0.5 else get(kind)
            cut = source.randint(1, len(data)) if source.random() < 0.4 else len(data)
            client.send(data[:cut])
            if cut == len(data) and source.random() < 0.7:
                try:
                    client.read_response()
                except (Truncated, StreamEnded):
                    pass
            leave(client, source.choice(["close", "reset"]))
            wire.clients.remove(client)
    churn(300)
    eventually(lambda: wire.program.descriptors() <= wire.proxy.baseline + 40, "the descriptors are closed", 20)
    before = wire.program.resident()
    churn(700)
    wire.upstream.script = serve(echo)
    eventually(lambda: wire.client().exchange(get()).status == 200, "service goes on")
    wire.check_growth(before, 8 * MEBIBYTE)
