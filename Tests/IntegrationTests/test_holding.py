"""Requests that wait for upstreams: who goes when, and what keeps nobody waiting (galaxy-lb only)."""

import pytest
from harness.balanced import send
from harness.client import get, post
from harness.control import Control
from harness.stream import eventually
from harness.upstream import echo, serve

pytestmark = pytest.mark.galaxy_lb

# More than go to an upstream at a time while others wait.
MANY = 40
# Longer than any test: whoever is not called in the line has waited in vain.
LONG = {"time": "10m"}


@pytest.fixture
def start(start_balanced):
    return start_balanced


def waiting(control):
    [pool] = control.get("/v1/status")["pools"]
    return pool["hold"]["waiting"]


def hold_while_drained(wire, control, targets):
    """Clients whose requests wait because their only upstream is drained; it is ready again on return."""
    path = control.path_of(wire.upstream)
    control.post(f"{path}/drain")
    clients = []
    for target in targets:
        clients.append(wire.client())
        clients[-1].send(post(b"body", target))
    eventually(lambda: waiting(control) == len(targets), "they wait")
    control.post(f"{path}/ready")
    return clients


@pytest.mark.parametrize("content", ["event streams", "slow answers"])
def test_long_requests_keep_nobody_waiting(start, content):
    """An upstream that is back takes those that waited, whatever it still has to do from before."""
    [wire] = start([{}], threads=2, hold=LONG)
    gate = wire.upstream.gate()

    def answer(connection, request):
        if request.target != b"/long":
            return echo(connection, request)
        if content == "event streams":
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 2\r\n\r\n:")
            gate.wait(30)
            return connection.send(b"\n")
        gate.wait(30)
        return echo(connection, request)
    wire.upstream.script = serve(answer)
    long = [send(wire, b"/long") for _ in range(MANY)]
    wire.upstream.wait_for_heads(MANY)
    targets = [b"/waits-%d" % number for number in range(5)]
    clients = hold_while_drained(wire, Control.of(wire), targets)
    for client, target in zip(clients, targets):
        assert client.read_response(b"POST").body == target + b"|body"
    assert not gate.is_set()
    gate.set()
    for client in long:
        assert client.read_response().status == 200


def test_streams_that_waited_keep_nobody_waiting(start):
    """All browsers ask for their event streams again after an outage; what comes behind them is served."""
    [wire] = start([{}], threads=2, hold=LONG)
    gate = wire.upstream.gate()

    def answer(connection, request):
        if request.method == b"GET":
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 2\r\n\r\n:")
            gate.wait(30)
            return connection.send(b"\n")
        return echo(connection, request)
    wire.upstream.script = serve(answer)
    control = Control.of(wire)
    path = control.path_of(wire.upstream)
    control.post(f"{path}/drain")
    streams = [send(wire, b"/events") for _ in range(3 * MANY)]
    eventually(lambda: waiting(control) == len(streams), "they wait")
    last = wire.client()
    last.send(post(b"body", b"/last"))
    eventually(lambda: waiting(control) == len(streams) + 1, "it waits")
    control.post(f"{path}/ready")
    assert last.read_response(b"POST").body == b"/last|body"
    gate.set()
    for client in streams:
        assert client.read_response().status == 200


def test_each_answer_lets_the_next_one_go(start):
    """However many an upstream may have at a time, all of these places are used while others wait."""
    [wire] = start([{"max_connections": MANY}], threads=2, hold=LONG)
    gates = {b"/%d" % number: wire.upstream.gate() for number in range(MANY)}

    def answer(connection, request):
        if gate := gates.get(request.target):
            gate.wait(30)
        echo(connection, request)
    wire.upstream.script = serve(answer)
    clients = [send(wire, target) for target in gates]
    wire.upstream.wait_for_heads(MANY)
    control = Control.of(wire)
    next_one = wire.client()
    next_one.send(get(b"/next"))
    eventually(lambda: waiting(control) == 1, "it waits")
    assert len(wire.upstream.heads) == MANY
    gates[b"/0"].set()
    assert clients[0].read_response().status == 200
    assert next_one.read_response().body == b"/next|"
    for gate in gates.values():
        gate.set()
    for client in clients[1:]:
        assert client.read_response().status == 200


def test_maintenance_tells_those_that_wait_at_once(start):
    """Nobody waits for what people have taken out of service."""
    [wire] = start([{}], threads=2, hold=LONG)
    control = Control.of(wire)
    path = control.path_of(wire.upstream)
    control.post(f"{path}/drain")
    clients = [send(wire, b"/waits") for _ in range(3)]
    eventually(lambda: waiting(control) == len(clients), "they wait")
    control.post(f"{path}/maintenance", {"reason": "New disks"})
    for client in clients:
        response = client.read_response()
        assert response.status == 503
        assert b"New disks" in response.body
    assert waiting(control) == 0
