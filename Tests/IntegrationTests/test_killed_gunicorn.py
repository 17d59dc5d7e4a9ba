"""What a gunicorn that is killed takes with it: what it was executing, and nothing that could have gone elsewhere."""

import json
from collections import defaultdict

import pytest
from harness.client import get, post
from harness.gunicorn import Gunicorn, RealLoad
from harness.stream import eventually

pytestmark = [pytest.mark.galaxy_lb, pytest.mark.timeout(120)]

SLOW = [b"/slow-%d" % number for number in range(16)]
IS_POST = {target: number % 4 < 2 for number, target in enumerate(SLOW)}


class Journal:
    """What the gunicorns write down: the masters whose workers have begun, and ended, each request."""

    def __init__(self, path):
        self.path = path

    def read(self):
        begun, ended = defaultdict(list), defaultdict(list)
        with open(self.path, "rb") as file:
            for line in file.read().splitlines():
                what, target, master = line.split()
                {b"begun": begun, b"ended": ended}[what][target].append(int(master))
        return begun, ended

    def has_begun(self, targets, master=None):
        begun, _ = self.read()
        return all(begun[target] and (master is None or master in begun[target]) for target in targets)


@pytest.fixture
def killed(start_balanced, folder):
    """Two gunicorns with their journal, a proxy before them with its log, and a load of short requests."""
    release, journal, log = f"{folder}/release", Journal(f"{folder}/journal"), f"{folder}/access"
    environment = {"JOURNAL": journal.path, "RELEASE": release}
    servers = []
    try:
        for name in ("first", "second"):
            servers.append(Gunicorn(start_balanced.address(), folder, name, environment))
        wire = start_balanced.before([server.address for server in servers],
                                     access_log={"destination": log, "format": "json"})
        yield wire, servers, journal, release, log
        start_balanced.finish()
    finally:
        for server in servers:
            server.program.kill()


def entries(log):
    """The lines of the access log by target."""
    with open(log, "rb") as file:
        lines = [json.loads(line) for line in file]
    return {line["request"].split()[1].encode(): line for line in lines if line["request"]}


def test_what_fails_with_a_killed_gunicorn(killed):
    """Rule 25: POSTs that it may have begun. What it had of other methods is done by the other one, and no POST is
    executed twice.
    """
    wire, (victim, survivor), journal, release, log = killed
    load = RealLoad(wire)
    load.wait_for(50)
    clients = {}
    for target in SLOW:
        clients[target] = wire.client()
        clients[target].send(post(b"body", target) if IS_POST[target] else get(target))
    eventually(lambda: journal.has_begun(SLOW), "all slow requests are being executed", 30)
    begun, _ = journal.read()
    lost = [target for target in SLOW if begun[target] == [victim.program.pid]]
    assert {IS_POST[target] for target in lost} == {True, False}, "it has some of both"

    victim.program.kill()
    eventually(lambda: journal.has_begun([t for t in lost if not IS_POST[t]], survivor.program.pid),
               "the survivor takes over", 30)
    load.wait_for(50)
    load.finish()
    with open(release, "wb"):
        pass
    for target, client in clients.items():
        response = client.read_response(b"POST" if IS_POST[target] else b"GET")
        expected = 502 if target in lost and IS_POST[target] else 200
        assert response.status == expected, (target, response.status, target in lost)

    eventually(lambda: entries(log).keys() >= {*SLOW, *(failure[0] for failure in load.failures)}, "all is logged")
    begun, ended = journal.read()
    for target, *outcome in load.failures:
        entry = entries(log)[target]
        # It went to the victim, and the proxy can't know how far it came there.
        assert entry["upstream"] == "u0" and entry["to_upstream"] is not None, (target, outcome, entry)
        assert not ended[target] and set(begun[target]) <= {victim.program.pid}, (target, outcome, begun[target])
        # A request that may be sent again fails only if its answer had begun.
        assert target in load.posts or entry["to_first_byte"] is not None, (target, outcome, entry)
    posts = [*load.posts, *(target for target in SLOW if IS_POST[target])]
    assert [target for target in posts if len(begun[target]) > 1] == []
