"""Section 7: whatever is sent, the proxy lives, and relays only what is well formed (rule 39)."""

import random
import re
import select

import h11
import pytest

from harness.client import get, post, post_chunked
from harness.message import Malformed, Truncated, read_body, read_request_head, response_bytes
from harness.stream import ByteStream, StreamEnded
from harness.upstream import echo, serve

NAMES = [b"Accept", b"X-Test", b"Cookie", b"x-lower", b"X-Empty", b"Referer"]
PREFACES = [
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)) * 2,
    b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10", b"SSH-2.0-OpenSSH_9.2\r\n", b"EHLO example.org\r\n",
    b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + bytes(12),
    b"\x04\x01\x00\x50\x7f\x00\x00\x01\x00", b"\x05\x01\x00", b"{\"json\": true}\n", b"\x00" * 4096, b"\xff" * 4096,
    b"\n" * 4096, b"\r" * 4096, b" " * 4096, b":" * 4096, b"A" * 4096, b"GET " * 1024,
]


def read_all_answers(client, limit=200):
    """Reads strictly until the proxy closes or falls silent; the final answers."""
    answers = []
    client.stream.timeout = 5
    try:
        while len(answers) < limit:
            if not client.stream.buffer and not select.select([client.sock], [], [], 0.3)[0]:
                break
            if client.stream.at_end():
                break
            answers.append(client.read_response())
    except (StreamEnded, Truncated):
        pass
    return answers


@pytest.mark.parametrize("number", range(len(PREFACES)))
def test_other_protocol_is_refused(wire, number):
    """Rule 39: TLS, HTTP/2, SSH and the like get 400 or a close, and nothing goes upstream."""
    client = wire.client()
    client.send(PREFACES[number])
    client.shutdown_write()
    for answer in read_all_answers(client):
        assert answer.status >= 400
    client.close()
    wire.check_forwards()
    assert wire.requests_but_sentinels() == []


def random_request(source, number):
    """A valid request, its parts, and what upstream must see of it."""
    target = b"/r%d%s" % (number, source.choice([b"", b"?a=b", b"/%2F", b"/../x", b";p"]))
    fields = [(source.choice(NAMES), bytes(source.choices(range(0x21, 0x7F), k=source.randint(1, 30))))
              for _ in range(source.randint(0, 8))]
    fields = [(name, b"" if name == b"X-Empty" else value) for name, value in fields]
    kind = source.randint(0, 2)
    body = source.randbytes(source.choice([0, 1, 10, 1000, 20000])) if kind else b""
    method = source.choice([b"POST", b"PUT", b"PATCH"] if kind else [b"GET", b"DELETE", b"OPTIONS"])
    if kind == 0:
        data = get(target, fields, method=method)
    elif kind == 1:
        data = post(body, target, fields, method=method)
    else:
        cuts = sorted(source.randint(0, len(body)) for _ in range(source.randint(0, 5)))
        parts = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)])]
        data = post_chunked(parts, target, fields, method=method)
    return data, (method, target, body, [(name.lower(), value) for name, value in fields])


def seen(request):
    names = {name.lower() for name in NAMES}
    kept = [(name.lower(), value) for name, value in request.fields if name.lower() in names]
    return request.method, request.target, request.body, kept


@pytest.mark.parametrize("round_number", range(6))
def test_valid_pipelines_reach_upstream_exactly(wire, seed, round_number):
    """Rule 39: for strictly valid input upstream sees exactly these requests, in order."""
    source = random.Random(f"{seed}-{round_number}")
    for _ in range(8):
        wire.upstream.requests.clear()
        made = [random_request(source, number) for number in range(source.randint(1, 12))]
        data = b"".join(part for part, _ in made)
        cuts = sorted(source.sample(range(1, len(data)), min(source.randint(0, 12), len(data) - 1)))
        client = wire.client()
        client.send_pieces([data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)])])
        for _, (method, target, body, _) in made:
            response = client.read_response(method)
            assert (response.status, response.body) == (200, target + b"|" + body)
        client.close()
        assert [seen(request) for request in wire.upstream.requests] == [parts for _, parts in made]


class Bytes:
    """A socket that only ever gives these bytes, for the strict parser."""

    def __init__(self, data):
        self.data = data

    def settimeout(self, timeout):
        """There is nothing to wait for."""

    def recv(self, size):
        data, self.data = self.data[:size], self.data[size:]
        return data


def strict_requests(data):
    """The whole requests that two strict parsers, the harness's and h11, agree on."""
    stream = ByteStream(Bytes(data), 0)
    requests = []
    try:
        while (request := read_request_head(stream)) is not None:
            requests.append(read_body(stream, request))
            if b"close" in request.tokens(b"Connection"):
                break
    except (Malformed, Truncated, StreamEnded, AssertionError):
        pass
    return requests[:h11_count(data)]


def h11_count(data):
    """How many whole requests h11 finds."""
    count = 0
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    try:
        connection.receive_data(data)
        while True:
            event = connection.next_event()
            if event in (h11.NEED_DATA, h11.PAUSED) or isinstance(event, h11.ConnectionClosed):
                if event is h11.PAUSED and connection.our_state is h11.SEND_RESPONSE:
                    connection.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
                    connection.send(h11.EndOfMessage())
                    if connection.their_state is h11.DONE and connection.our_state is h11.DONE:
                        connection.start_next_cycle()
                        continue
                return count
            if isinstance(event, h11.EndOfMessage):
                count += 1
    except h11.RemoteProtocolError:
        return count


def of_attempt(attempt, requests):
    """What is to be compared of the requests whose target has a number of this attempt."""
    own = {b"%d" % (10 * attempt + i) for i in range(10)}
    return [(r.method, r.target, r.body) for r in requests
            if (match := re.match(rb"/r([0-9]+)", r.target)) and match[1] in own]


TOKENS = [b"\r\n", b"\r", b"\n", b"\x00", b" ", b"\t", b":", b";", b",", b"0", b"5", b"\r\n\r\n", b"0\r\n\r\n", b"\x80", b"\xff",
          b"\xe2\x84\xaa", b"\xcc\x81", b"Transfer-Encoding: chunked\r\n", b"Content-Length: 5\r\n", b"Host: x\r\n",
          b"Connection: close\r\n", b"Content-Length: 0\r\n", b"GET / HTTP/1.1\r\n", b"HTTP/1.0", b"HTTP/2.0", b"-1", b"ffffffffffffffff"]


def mutate(source, data):
    """A few random changes."""
    data = bytearray(data)
    for _ in range(source.randint(1, 4)):
        place = source.randint(0, len(data))
        kind = source.randint(0, 4)
        if kind == 0:
            data[place:place + source.randint(1, 8)] = b""
        elif kind == 1:
            data[place:place] = source.choice(TOKENS)
        elif kind == 2 and data:
            data[place % len(data)] = source.randint(0, 255)
        elif kind == 3:
            end = min(len(data), place + source.randint(1, 40))
            data[place:place] = data[place:end]
        else:
            del data[source.randint(max(0, len(data) - 40), len(data)):]
    return bytes(data)


@pytest.mark.parametrize("round_number", range(10))
def test_mutated_requests(wire, seed, round_number):
    """Rule 39: what a strict parser accepts reaches upstream in order; the rest harms nobody."""
    source = random.Random(f"{seed}-{round_number}")
    for attempt in range(25):
        # What is left of the attempt before may still come; the number in its target tells. Of older ones a number
        # says nothing: a change may have made this attempt's.
        first = 10 * attempt
        before = len(wire.upstream.requests)
        made = [random_request(source, first + i)[0] for i in range(source.randint(1, 4))]
        data = mutate(source, b"".join(part[:3000] if b"chunked" not in part else part for part in made))
        wanted = strict_requests(data)
        client = wire.client()
        cut = source.randint(0, len(data))
        client.send_pieces([data[:cut], data[cut:]])
        client.shutdown_write()
        answers = read_all_answers(client)
        client.close()
        reached = of_attempt(attempt, wire.upstream.requests[before:])
        known = of_attempt(attempt, wanted)[:len(reached)]
        assert reached[:len(known)] == known, f"attempt {attempt}: {data!r}"
        assert len(answers) <= data.count(b"HTTP/1.") + 1, f"attempt {attempt}: {data!r}"
    wire.check_forwards()


def test_random_bytes(wire, seed):
    """Rule 39: noise is refused, and the proxy lives."""
    source = random.Random(seed)
    for _ in range(150):
        client = wire.client()
        data = source.randbytes(source.choice([1, 10, 100, 5000]))
        if source.random() < 0.5:
            data = source.choice([b"GET ", b"POST / HTTP/1.1\r\n", get()[:-2]]) + data
        client.send(data)
        if source.random() < 0.5:
            client.shutdown_write()
            read_all_answers(client)
        {0: client.close, 1: client.reset}[source.randint(0, 1)]()
    wire.check_forwards()
    wire.check_nothing_smuggled()


@pytest.mark.parametrize("ending", ["close", "reset", "shutdown"])
def test_client_cut_at_any_byte(wire, ending):
    """Rule 39: a request that ends at each of its bytes."""
    data = post_chunked([b"hello", b"world"], b"/cut", [(b"X-Test", b"1")], b"X-T: t\r\n")
    for cut in range(1, len(data)):
        client = wire.client()
        client.send(data[:cut])
        {"close": client.close, "reset": client.reset, "shutdown": client.shutdown_write}[ending]()
        if ending == "shutdown":
            read_all_answers(client)
            client.close()
    wire.check_forwards()
    assert wire.requests_but_sentinels() == []


@pytest.mark.parametrize("ending", ["close", "reset"])
def test_upstream_cut_at_any_byte(wire, ending):
    """Rules 21, 39: an answer that ends at each of its bytes never looks whole."""
    data = (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nX-Test: v\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n5;x\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n")
    cuts = iter(range(len(data)))

    def script(connection):
        request = connection.read_request()
        if request is None:
            return
        if request.target != b"/cut":
            echo(connection, request)
            return
        connection.send(data[:next(cuts)])
        if ending == "reset":
            connection.reset()
    wire.upstream.script = script
    for _ in range(len(data) - 1):
        client = wire.client()
        try:
            response = client.exchange(post(b"x", b"/cut"))
            assert response.status == 502, f"looks whole: {response}"
        except (Truncated, StreamEnded):
            pass
        client.close()
    wire.upstream.script = serve(echo)
    wire.check_forwards()


@pytest.mark.parametrize("round_number", range(6))
def test_mutated_responses(wire, seed, round_number):
    """Rule 39: what reaches the client is well formed, or visibly cut."""
    source = random.Random(f"{seed}-{round_number}")
    bases = [
        response_bytes(200, b"hello world" * 20, [(b"X-Test", b"v"), (b"Set-Cookie", b"a=b")]),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: b\r\n\r\n5;x\r\nhello\r\n6\r\n world\r\n0\r\nX-T: t\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + response_bytes(404, b"no"),
        b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nuntil the end", b"HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n",
    ]

    def script(connection):
        request = connection.read_request()
        if request is None:
            return
        if not request.target.startswith(b"/fuzz"):
            echo(connection, request)
            return
        data = mutate(source, source.choice(bases))
        cut = source.randint(0, len(data))
        connection.send_and_wait(data[:cut])
        connection.send(data[cut:])
    wire.upstream.script = script
    for number in range(40):
        client = wire.client()
        client.stream.timeout = 20
        try:
            client.exchange(get(b"/fuzz%d" % number))
        except (Truncated, StreamEnded):
            pass
        client.close()
    wire.upstream.script = serve(echo)
    wire.check_forwards()


def test_memory_does_not_grow_with_bad_requests(wire):
    """Rule 31: two thousand rejections cost nothing that stays."""
    def reject(count):
        for _ in range(count):
            client = wire.client()
            client.send(b"GET / HTTP/1.1\r\nBad Name: x\r\n\r\n")
            assert client.read_response().status == 400
            client.close()
            wire.clients.remove(client)
    reject(500)
    before = wire.program.resident()
    reject(1500)
    wire.check_growth(before, 4 << 20)
