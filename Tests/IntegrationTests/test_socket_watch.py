"""Unix sockets that go and come: known at once, because their folders are watched (galaxy-lb only).

The first probes come at the start, and then none for an hour, so that nothing else can be why an upstream is up or down.
"""

import os
import shutil
import signal
from collections import Counter

import pytest
from harness.client import get, post
from harness.control import Control
from harness.gunicorn import Gunicorn
from harness.stream import eventually
from harness.upstream import Upstream
from test_killed_gunicorn import Journal, entries

pytestmark = [pytest.mark.galaxy_lb, pytest.mark.timeout(120)]

PROBE = b"/is-it-there"
NEVER = {"probe": True, "path": PROBE.decode(), "interval": "1h", "interval_when_down": "1h"}


@pytest.fixture(scope="module")
def kind():
    """Other sockets have no file."""
    return "unix"


def path_of(address):
    return address[len("unix:"):]


def upstream_state(control, number):
    return control.get(f"/v1/upstreams/main/u{number}")


def wait_for(control, number, operational):
    eventually(lambda: upstream_state(control, number)["operational"] == operational, f"u{number} is {operational}")


def targets_at(upstream):
    """What it has got, but for probes."""
    return [request.target for request in upstream.requests if request.target != PROBE]


def exchange_all(wire, targets):
    """POSTs one after the other, all of which are answered."""
    client = wire.client()
    for target in targets:
        assert client.exchange(post(b"body", target)).status == 200, target
    client.close()


def test_nothing_is_sent_to_one_whose_socket_is_removed(start_balanced):
    """Kept connections to it are not used, although they are open and would be answered; the next socket is."""
    wires = start_balanced([{}, {}], health=NEVER, threads=2)
    control = Control.of(wires[0])
    first, second = (wire.upstream for wire in wires)
    for number in range(2):
        wait_for(control, number, "up")
    exchange_all(wires[0], [b"/before-%d" % number for number in range(20)])
    kept = [connection for connection in first.open_connections() if connection.requests]
    assert targets_at(first) and targets_at(second) and kept
    clients = [wires[0].client() for _ in range(4)]
    for number, client in enumerate(clients):
        assert client.exchange(get(b"/first-%d" % number)).status == 200

    served = targets_at(first)
    os.unlink(path_of(first.address))
    wait_for(control, 0, "down")
    for number in range(20):
        for client in clients:
            assert client.exchange(post(b"body", b"/meanwhile-%d" % number)).status == 200
    assert targets_at(first) == served
    state = upstream_state(control, 0)
    assert state["failures"]["total"] == 0 and state["administrative"] == "ready"
    assert wires[0].program.log().count(b"socket was removed") == 1

    before = set(first.open_connections())
    first.close_listener()
    first.listen()
    wait_for(control, 0, "up")
    exchange_all(wires[0], [b"/after-%d" % number for number in range(20)])
    used = [connection for connection in first.open_connections() if connection not in before]
    assert any(request.target.startswith(b"/after") for connection in used for request in connection.requests)
    assert not any(request.target.startswith(b"/after") for connection in before for request in connection.requests)


def test_requests_that_wait_go_to_a_socket_that_comes(start_balanced):
    """All are gone; what is held goes on with the first one that is back."""
    [wire] = start_balanced([{}], health=NEVER, hold={"time": "10m"})
    control = Control.of(wire)
    wait_for(control, 0, "up")
    wire.upstream.close_listener()
    wait_for(control, 0, "down")
    clients = [wire.client() for _ in range(10)]
    for number, client in enumerate(clients):
        client.send(post(b"body", b"/held-%d" % number))
    eventually(lambda: control.get("/v1/status")["pools"][0]["hold"]["waiting"] == 10, "they wait")
    wire.upstream.listen()
    for number, client in enumerate(clients):
        assert client.read_response(b"POST").body == b"/held-%d|body" % number


def test_real_gunicorns_that_stop_and_start(start_balanced, folder):
    """One that is told to stop, and finishes what it has, gets nothing more, and has work again when it is started."""
    release, log = f"{folder}/release", f"{folder}/access"
    journal = Journal(f"{folder}/journal")
    servers = []
    try:
        for name in ("first", "second"):
            servers.append(Gunicorn(start_balanced.address(), folder, name,
                                    {"JOURNAL": journal.path, "RELEASE": release}))
        wire = start_balanced.before([server.address for server in servers], health=NEVER,
                                     access_log={"destination": log, "format": "json"})
        control = Control.of(wire)
        for number in range(2):
            wait_for(control, number, "up")
        slow = [wire.client() for _ in range(4)]
        for number, client in enumerate(slow):
            client.send(get(b"/slow-%d" % number))
        eventually(lambda: journal.has_begun([b"/slow-%d" % number for number in range(4)]), "they are executed", 30)
        exchange_all(wire, [b"/before-%d" % number for number in range(20)])

        servers[0].program.send_signal(signal.SIGTERM)
        wait_for(control, 0, "down")
        assert servers[0].program.alive(), "it has not finished yet"
        meanwhile = [b"/meanwhile-%d" % number for number in range(50)]
        exchange_all(wire, meanwhile)
        with open(release, "wb"):
            pass
        for client in slow:
            assert client.read_response().status == 200
        eventually(lambda: not servers[0].program.alive(), "it has stopped", 30)
        eventually(lambda: entries(log).keys() >= set(meanwhile), "all is logged")
        assert Counter(entries(log)[target]["upstream"] for target in meanwhile) == {"u1": len(meanwhile)}

        servers[0].start()
        wait_for(control, 0, "up")
        after = [b"/after-%d" % number for number in range(20)]
        exchange_all(wire, after)
        eventually(lambda: entries(log).keys() >= set(after), "all is logged")
        assert {entries(log)[target]["upstream"] for target in after} == {"u0", "u1"}
        start_balanced.finish()
    finally:
        for server in servers:
            if server.program.alive():
                server.program.kill()


def test_folders_that_come_and_go(start_balanced, folder):
    """A folder that is not there is told once and tried again; one that is removed takes its sockets with it."""
    place = f"{folder}/run"
    address = f"unix:{place}/u0.sock"
    wire = start_balanced.before([address], health=NEVER)
    control = Control.of(wire)
    wait_for(control, 0, "down")
    assert wire.program.log().count(b"not watched") == 1

    os.mkdir(place)
    upstream = Upstream(address)
    start_balanced.upstreams.append(upstream)
    wait_for(control, 0, "up")
    exchange_all(wire, [b"/one"])
    shutil.rmtree(place)
    wait_for(control, 0, "down")
    eventually(lambda: wire.program.log().count(b"not watched") == 2, "the folder is missed")

    os.mkdir(place)
    upstream.close_listener()
    upstream.listen()
    wait_for(control, 0, "up")
    exchange_all(wire, [b"/two"])
    assert targets_at(upstream) == [b"/one", b"/two"]


def test_sockets_are_watched_after_a_reload(start_balanced):
    """Those of pools that have changed, and of upstreams that are new."""
    wires = start_balanced([{}], health=NEVER)
    [wire] = wires
    control = Control.of(wire)
    wait_for(control, 0, "up")
    added = Upstream(start_balanced.address())
    start_balanced.upstreams.append(added)
    described = wire.proxy.file["pools"]["main"]["upstreams"]
    wire.proxy.reload(upstreams=[*described, {"name": "u1", "address": added.address}], balance="round-robin")
    for number, upstream in enumerate((wire.upstream, added)):
        wait_for(control, number, "up")
        upstream.close_listener()
        wait_for(control, number, "down")
        upstream.listen()
        wait_for(control, number, "up")
    wire.proxy.reload(upstreams=described)
    wire.upstream.close_listener()
    wait_for(control, 0, "down")
    wire.upstream.listen()
    wait_for(control, 0, "up")
    exchange_all(wire, [b"/still"])
    assert wire.program.log().count(b"configuration reloaded") == 2


def test_what_an_administrator_wants_stays(start_balanced):
    """A drained upstream stays drained, whatever its socket does."""
    [wire] = start_balanced([{}], health=NEVER)
    control = Control.of(wire)
    wait_for(control, 0, "up")
    control.post(f"{control.path_of(wire.upstream)}/drain")
    wire.upstream.close_listener()
    wait_for(control, 0, "down")
    wire.upstream.listen()
    wait_for(control, 0, "up")
    assert upstream_state(control, 0)["administrative"] == "draining"
    control.post(f"{control.path_of(wire.upstream)}/ready")
    exchange_all(wire, [b"/again"])
