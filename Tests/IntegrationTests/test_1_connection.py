"""Section 1: segments, pipelining, persistence, HTTP/1.0 (rules 9 and 11)."""

import random
import select

import pytest

from harness.client import get, post, post_chunked
from harness.message import response_bytes
from harness.stream import eventually
from harness.upstream import serve, serve_bytes

SAMPLE = (
    b"POST /first?q=1 HTTP/1.1\r\nHost: test.example\r\nX-A: one\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5;x=y\r\nhello\r\n3\r\n\r\n!\r\n0\r\nX-T: t\r\n\r\n"
    b"PUT /second HTTP/1.1\r\nhost:test.example\r\nContent-Length: 4\r\n\r\nbody"
    b"GET /third HTTP/1.1\r\nHost: test.example\r\nConnection: close\r\n\r\n"
)
SEEN = [(b"POST", b"/first?q=1", b"hello\r\n!"), (b"PUT", b"/second", b"body"), (b"GET", b"/third", b"")]
ANSWERS = [target + b"|" + body for _, target, body in SEEN]


def check_sample(wire, pieces):
    """Sends the sample in these pieces; the outcome must not depend on them."""
    wire.upstream.requests.clear()
    client = wire.client()
    client.send_pieces(pieces)
    answers = [client.read_response(method).body for method, _, _ in SEEN]
    client.expect_close()
    client.close()
    assert answers == ANSWERS
    assert [(r.method, r.target, r.body) for r in wire.upstream.requests] == SEEN


def test_sample_in_one_segment(wire):
    """Rule 11: three requests in one segment."""
    check_sample(wire, [SAMPLE])


def test_sample_byte_by_byte(wire):
    """Rule 11: each byte is read by the proxy before the next is sent."""
    check_sample(wire, [SAMPLE[i:i + 1] for i in range(len(SAMPLE))])


@pytest.mark.parametrize("part", range(8))
def test_sample_cut_in_two_at_every_place(wire, part):
    """Rule 11: any split of the byte stream parses the same."""
    for cut in range(1 + part, len(SAMPLE), 8):
        check_sample(wire, [SAMPLE[:cut], SAMPLE[cut:]])


def test_sample_cut_at_random_places(wire, seed):
    """Rule 11: any split of the byte stream parses the same."""
    source = random.Random(seed)
    for _ in range(40):
        cuts = sorted(source.sample(range(1, len(SAMPLE)), source.randint(2, 8)))
        check_sample(wire, [SAMPLE[a:b] for a, b in zip([0, *cuts], [*cuts, len(SAMPLE)])])


def test_pipelined_requests_are_answered_in_order(wire):
    """Rule 11: thirty requests at once, with and without bodies."""
    client = wire.client()
    data = b"".join(
        [get, lambda target: post(target, target), lambda target: post_chunked([target], target)][i % 3](b"/%d" % i)
        for i in range(30))
    client.send(data)
    bodies = [client.read_response().body for _ in range(30)]
    assert bodies == [b"/%d|" % i + (b"/%d" % i if i % 3 else b"") for i in range(30)]


def test_pipelined_answers_keep_their_order_when_the_first_is_slow(start):
    """Rule 11: a later answer never overtakes, whichever upstream is faster."""
    first, second = start(upstreams=2)
    gate = first.upstream.gate()

    def answer(connection, request):
        if request.target == b"/slow":
            gate.wait(20)
        connection.respond(200, request.target)
    first.upstream.script = second.upstream.script = serve(answer)
    client = first.client()
    client.send(get(b"/slow") + get(b"/fast"))
    eventually(lambda: first.upstream.requests or second.upstream.requests, "the slow request")
    assert first.client().exchange(get(b"/probe")).body == b"/probe"
    gate.set()
    assert [client.read_response().body for _ in range(2)] == [b"/slow", b"/fast"]


def test_nothing_after_connection_close_is_processed(wire):
    """Rule 11: the request after `Connection: close` is never read (RFC 9112 9.6)."""
    client = wire.client()
    client.send(get(b"/last", [(b"Connection", b"close")]) + get(b"/never"))
    assert client.read_response().body == b"/last|"
    client.expect_close()
    wire.check_forwards()
    assert [r.target for r in wire.requests_but_sentinels()] == [b"/last"]


@pytest.mark.parametrize("value", [b"close", b"Close", b"CLOSE", b"keep-alive, close", b"close , x", b",close", b"x,\tclose"])
def test_close_is_understood_in_any_list(wire, value):
    """Rule 11: Connection is a list of case-insensitive options."""
    client = wire.client()
    response = client.exchange(get(fields=[(b"Connection", value)]))
    assert b"close" in response.tokens(b"Connection")
    client.expect_close()


def test_connection_is_kept_for_many_requests(wire):
    """Rule 11: HTTP/1.1 persists by default."""
    client = wire.client()
    for number in range(200):
        assert client.exchange(get(b"/%d" % number)).body == b"/%d|" % number


def test_connections_upstream_are_kept_too(wire):
    """Rule 15: far fewer connections than requests."""
    client = wire.client()
    for number in range(50):
        client.exchange(get(b"/%d" % number))
    assert len(wire.upstream.connections) < 10


CHUNKED_ANSWER = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"


@pytest.mark.parametrize("fields", [[], [(b"Connection", b"keep-alive")], [(b"Connection", b"close")]])
def test_http_1_0_client_never_gets_transfer_encoding(wire, fields):
    """Rule 11: a chunked answer becomes one with Content-Length or one that a close ends."""
    wire.upstream.script = serve_bytes(CHUNKED_ANSWER)
    client = wire.client()
    response = client.exchange(get(fields=fields, version=b"1.0"))
    assert response.framing in ("close", "length")
    assert response.body == b"hello world"
    assert response.values(b"Transfer-Encoding") == []


def test_http_1_0_client_never_gets_an_interim_answer(wire):
    """Rule 11: no 1xx to HTTP/1.0 (RFC 9110 15.2)."""
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    wire.upstream.script = serve_bytes(interim + response_bytes(200, b"final"))
    response = wire.client().exchange(get(version=b"1.0"))
    assert (response.interim, response.status, response.body) == ([], 200, b"final")


def test_http_1_0_connection_closes_by_default(wire):
    """Rule 11: HTTP/1.0 without keep-alive ends after one answer."""
    client = wire.client()
    assert client.exchange(get(version=b"1.0")).body == b"/|"
    client.expect_close()


def test_http_1_0_keep_alive_is_honoured_or_closed(wire):
    """Rule 11: whichever the answer says is what happens."""
    client = wire.client()
    response = client.exchange(get(fields=[(b"Connection", b"keep-alive")], version=b"1.0"))
    if b"keep-alive" in response.tokens(b"Connection"):
        assert client.exchange(get(b"/2", version=b"1.0")).body == b"/2|"
    client.expect_close()


def test_http_1_0_with_content_length_body(wire):
    """Rule 11: a body of an HTTP/1.0 client is forwarded in HTTP/1.1."""
    data = b"POST /old HTTP/1.0\r\nHost: test.example\r\nContent-Length: 5\r\n\r\nhello"
    assert wire.forwarded(data).body == b"hello"


@pytest.mark.parametrize("bad", [b"GET /bad\x01 HTTP/1.1\r\nHost: a\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n",
                                 b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n"])
def test_rejection_in_a_pipeline_follows_the_answers_before_it(wire, bad):
    """Rules 9, 11: earlier requests are answered, the bad one is refused, later ones vanish."""
    client = wire.client()
    client.send(get(b"/1") + get(b"/2") + bad + get(b"/never"))
    assert [client.read_response().body for _ in range(2)] == [b"/1|", b"/2|"]
    assert client.read_response().status == 400
    client.expect_close()
    wire.check_forwards()
    assert [r.target for r in wire.requests_but_sentinels()] == [b"/1", b"/2"]


def test_half_a_head_and_a_close_is_no_request(wire):
    """Rule 8: a head that isn't finished never goes upstream."""
    whole = get(b"/cut")
    for cut in range(1, len(whole), 7):
        client = wire.client()
        client.send_pieces([whole[:cut]])
        client.close()
    wire.check_forwards()
    assert wire.requests_but_sentinels() == []


def test_pipeline_that_is_not_read_is_bounded(wire):
    """Rules 11, 27: a client that sends and never reads is stopped by back-pressure."""
    client = wire.client(receive_buffer=4096)
    client.sock.setblocking(False)
    request = get(b"/" + b"p" * 2000)
    sent = 0
    before = wire.program.resident()
    while sent < 64 << 20 and select.select([], [client.sock], [], 2)[1]:
        sent += client.sock.send(request * 20)
    assert sent < 64 << 20, "64 MiB of requests were taken though no answer is read"
    wire.check_growth(before, 16 << 20)
    client.close()
