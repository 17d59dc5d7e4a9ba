"""Balancing: every algorithm over real sockets, weights, backups, limits with a line in front, slow start, reload."""

import threading
from collections import Counter

import pytest

from harness.addresses import wait_until_read
from harness.balanced import send
from harness.client import get, post
from harness.stream import eventually
from harness.upstream import echo, serve

pytestmark = pytest.mark.galaxy_lb

ALGORITHMS = ["least-connections", "round-robin", "random-two", "hash"]


class Served:
    """What upstreams do in these tests: some requests wait for their gate; and how many there are at a time."""

    def __init__(self, wires):
        self.lock = threading.Lock()
        self.gates = {}
        self.at_a_time = Counter()
        self.most = Counter()
        self.wires = wires
        for number, wire in enumerate(wires):
            wire.upstream.script = serve(lambda connection, request, number=number:
                                         self.answer(number, connection, request))

    def hold(self, *targets):
        """Requests for these targets are answered after `release`."""
        for target in targets:
            self.gates[target] = self.wires[0].upstream.gate()

    def release(self, *targets):
        for target in targets:
            self.gates[target].set()

    def answer(self, number, connection, request):
        with self.lock:
            self.at_a_time[number] += 1
            self.most[number] = max(self.most[number], self.at_a_time[number])
        if gate := self.gates.get(request.target):
            gate.wait(30)
        # Before the answer: as soon as the proxy has it, it may send the next request.
        with self.lock:
            self.at_a_time[number] -= 1
        echo(connection, request)

    def targets(self, number):
        """What this upstream was asked for, in order."""
        return [request.target for request in self.wires[number].upstream.heads]

    def everything(self):
        return [target for number in range(len(self.wires)) for target in self.targets(number)]

    def wait_for(self, count):
        eventually(lambda: len(self.everything()) >= count, f"{count} requests arrive")

    def place(self, target):
        """The upstream that this request went to."""
        return next(number for number in range(len(self.wires)) if target in self.targets(number))


@pytest.fixture
def start(start_balanced):
    return start_balanced


def ask(wire, target=b"/", cookie=None, fields=()):
    """One request on a connection of its own; the cookie makes a key for those that hash."""
    if cookie is not None:
        fields = [*fields, (b"Cookie", b"other=1; key=" + cookie)]
    client = wire.client()
    response = client.exchange(get(target, fields))
    client.close()
    wire.clients.remove(client)
    assert response.status == 200
    return response


def counts(wires):
    return [len(wire.upstream.heads) for wire in wires]


def ask_many(wires, number):
    """Sends so many requests, one after the other, each with a key of its own; how many each upstream got."""
    before = counts(wires)
    for index in range(number):
        ask(wires[0], b"/%d" % index, b"k%d" % index)
    return [after - known for after, known in zip(counts(wires), before)]


def hashing(algorithm):
    return {"balance": algorithm, "hash_on": "cookie key"} if algorithm == "hash" else {"balance": algorithm}


# Weights


def test_round_robin_is_exact(start):
    wires = start([{"weight": weight} for weight in (1, 2, 5)], balance="round-robin")
    assert ask_many(wires, 80) == [10, 20, 50]


def test_round_robin_is_smooth(start):
    """The turns of a heavy upstream are spread over the round, as nginx does it."""
    wires = start([{"weight": weight} for weight in (5, 1, 1)], balance="round-robin")
    order = []
    for _ in range(14):
        before = counts(wires)
        ask(wires[0])
        order += [number for number in range(3) if counts(wires)[number] > before[number]]
    assert order == [0, 0, 1, 0, 2, 0, 0] * 2


def test_least_connections_goes_by_weight(start):
    """Idle upstreams take turns by weight, busy ones have work by weight."""
    wires = start([{"weight": 1}, {"weight": 3}], balance="least-connections")
    # Before the first connection: one that is kept goes on with what it began with.
    served = Served(wires)
    assert ask_many(wires, 40) == [10, 30]
    served.hold(b"/slow")
    clients = []
    for number in range(40):
        clients.append(send(wires[0], b"/slow"))
        served.wait_for(40 + number + 1)
    assert counts(wires) == [20, 60]
    served.release(b"/slow")
    for client in clients:
        assert client.read_response().status == 200


def test_random_two_draws_by_weight(start):
    wires = start([{"weight": 1}, {"weight": 3}], balance="random-two")
    first, second = ask_many(wires, 400)
    # Expected are 100 and 300; the bound is eight standard deviations.
    assert 30 < first < 170, (first, second)


def test_random_two_takes_the_less_busy_one(start):
    """Of two upstreams both are always drawn, so that they never differ by more than one."""
    wires = start([{}, {}], balance="random-two")
    served = Served(wires)
    served.hold(b"/slow")
    clients = []
    for number in range(20):
        clients.append(send(wires[0], b"/slow"))
        served.wait_for(number + 1)
        assert abs(counts(wires)[0] - counts(wires)[1]) <= 1
    served.release(b"/slow")
    for client in clients:
        assert client.read_response().status == 200


def test_hash_goes_by_weight(start):
    wires = start([{"weight": 1}, {"weight": 3}], balance="hash", hash_on="cookie key")
    # The keys and the names are the same in every run.
    first, second = ask_many(wires, 200)
    assert 30 < first < 70, (first, second)


# Backups


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_backup_stands_by(start, algorithm):
    wires = start([{}, {"backup": True}, {}], **hashing(algorithm))
    first, backup, third = ask_many(wires, 30)
    assert backup == 0 and first > 0 and third > 0
    wires[0].upstream.stop()
    wires[2].upstream.stop()
    assert ask_many(wires, 20)[1] == 20


# Limits


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_line_in_front_is_fair_and_bound_to_nobody(start, algorithm):
    """Those that wait are served in order, each by whichever upstream is free first."""
    wires = start([{}, {}], max_connections=2, **hashing(algorithm))
    served = Served(wires)
    running = [b"/run-%d" % number for number in range(4)]
    waiting = [b"/wait-%d" % number for number in range(4)]
    served.hold(*running, *waiting)
    clients = {}
    for number, target in enumerate(running):
        clients[target] = send(wires[0], target, target)
        served.wait_for(number + 1)
    assert counts(wires) == [2, 2]
    # All with one key, which does not bind them to an upstream that is full.
    for target in waiting:
        clients[target] = send(wires[0], target, b"same")
    assert sorted(served.everything()) == running
    # First one of the one upstream is done, then two of the other, then the last.
    left = [[t for t in running if served.place(t) == number] for number in (0, 1)]
    order = [left[0][0], left[1][0], left[1][1], left[0][1]]
    for number, done in enumerate(order):
        place = served.place(done)
        served.release(done)
        assert clients[done].read_response().status == 200
        served.wait_for(5 + number)
        assert served.place(waiting[number]) == place
    served.release(*waiting)
    for target in waiting:
        assert clients[target].read_response().status == 200
    assert max(served.most.values()) == 2


def test_line_is_bounded_and_forgets_who_leaves(start):
    """Over the bound the newest one is refused; who leaves makes room, and is never sent."""
    wires = start([{}], max_connections=1, hold={"requests": 2})
    served = Served(wires)
    served.hold(b"/run")
    first = send(wires[0], b"/run")
    served.wait_for(1)
    leaver = send(wires[0], b"/leaves")
    patient = send(wires[0], b"/patient")
    response = wires[0].client().exchange(get(b"/refused"))
    assert response.status == 503
    assert response.values(b"Retry-After")
    open_before = wires[0].program.descriptors()
    leaver.close()
    eventually(lambda: wires[0].program.descriptors() < open_before, "the proxy sees that it left")
    last = wires[0].client()
    last.send(post(b"body", b"/last"))
    wait_until_read(last.sock)
    served.release(b"/run")
    assert first.read_response().status == 200
    assert patient.read_response().body == b"/patient|"
    assert last.read_response(b"POST").body == b"/last|body"
    assert served.everything() == [b"/run", b"/patient", b"/last"]
    assert served.most[0] == 1


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_limit_holds_over_all_threads(start, algorithm):
    """An upstream has its own limit, else that of the pool, however many threads send to it."""
    wires = start([{}, {"max_connections": 2}], threads=4, max_connections=1, **hashing(algorithm))
    served = Served(wires)
    failures = []

    def run(worker):
        client = wires[0].client()
        for number in range(40):
            target = b"/%d-%d" % (worker, number)
            response = client.exchange(get(target, [(b"Cookie", b"key=" + target)]))
            if response.status != 200 or response.body != target + b"|":
                failures.append((response.status, response.body))
    threads = [threading.Thread(target=run, args=(worker,), daemon=True) for worker in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(40)
        assert not thread.is_alive(), "a client hangs"
    assert not failures, failures[:3]
    assert len(served.everything()) == 12 * 40
    assert served.most[0] <= 1 and served.most[1] <= 2, served.most
    assert min(counts(wires)) > 0


def test_backup_is_used_when_the_others_are_full(start):
    """It can take what would have to wait otherwise."""
    wires = start([{}, {"backup": True}], max_connections=1)
    served = Served(wires)
    served.hold(b"/0", b"/1")
    clients = []
    for number in range(2):
        clients.append(send(wires[0], b"/%d" % number))
        served.wait_for(number + 1)
    assert [served.targets(number) for number in (0, 1)] == [[b"/0"], [b"/1"]]
    clients.append(send(wires[0], b"/2"))
    assert len(served.everything()) == 2
    served.release(b"/0", b"/1")
    for client in clients:
        assert client.read_response().status == 200


# Slow start


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_shares_grow_after_coming_back(start, kind, algorithm):
    if kind == "tcp" and algorithm != "least-connections":
        pytest.skip("takes its time, and what is balanced doesn't see the kind of socket")
    wires = start([{}, {}], slow_start="6s", **hashing(algorithm))
    full = ask_many(wires, 60)[0]
    assert full >= 15
    wires[0].upstream.stop()
    assert ask_many(wires, 10)[0] == 0
    wires[0].upstream.listen()
    eventually(lambda: ask_many(wires, 5)[0] > 0, "it is used again", 20)
    shares = [ask_many(wires, 60)[0]]

    def is_full_again():
        shares.append(ask_many(wires, 60)[0])
        return shares[-1] > 2 * shares[0] and shares[-1] >= min(full, 25) - 8
    eventually(is_full_again, "its share grows", 30, 0.1)


# Hashing


def places(wires, keys, made=lambda key: {"cookie": key}):
    """The upstream of each key, each asked for three times on connections of their own."""
    found = {}
    for _ in range(3):
        for key in keys:
            before = counts(wires)
            ask(wires[0], b"/" + key, **made(key))
            place = [number for number, count in enumerate(counts(wires)) if count > before[number]]
            assert len(place) == 1
            assert found.setdefault(key, place[0]) == place[0], f"{key!r} moved"
    return found


KEYS = [b"user%d" % number for number in range(24)]


def header(key):
    return {"fields": [(b"x-TENANT", key)]}


def forwarded(key):
    """A client behind two proxies, the first of which it can't be sure of."""
    address = b"198.51.100." + key[len(b"user"):]
    return {"fields": [(b"X-Forwarded-For", b"203.0.113.9, %s, 127.0.0.1" % address)]}


@pytest.mark.parametrize("hash_on, made", [
    ("cookie key", lambda key: {"cookie": key}), ("header X-Tenant", header), ("client-address", forwarded),
])
def test_hash_sticks(start, hash_on, made):
    """The same key to the same upstream, also in another proxy; only what a lost one had moves, and comes back."""
    wires = start([{}, {}, {}], balance="hash", hash_on=hash_on, file={"trusted_proxies": "127.0.0.0/8"})
    before = places(wires, KEYS, made)
    assert set(before.values()) == {0, 1, 2}
    assert places(start.again(wires), KEYS, made) == before
    wires[1].upstream.stop()
    # Who asks first finds out that it is gone; each of its keys has a new place from then on.
    without = places(wires, KEYS, made)
    for key in KEYS:
        assert without[key] == before[key] if before[key] != 1 else without[key] != 1
    wires[1].upstream.listen()
    lost = next(key for key in KEYS if before[key] == 1)
    known = len(wires[1].upstream.heads)
    eventually(lambda: ask(wires[0], b"/", **made(lost)) and len(wires[1].upstream.heads) > known,
               "its keys come back", 20, 0.05)
    assert places(wires, KEYS, made) == before


def test_strangers_cant_choose_their_address(start):
    """From a peer that is no trusted proxy X-Forwarded-For is not believed."""
    wires = start([{}, {}, {}], balance="hash", hash_on="client-address")
    assert len(set(places(wires, KEYS, forwarded).values())) == 1


def test_requests_without_key_are_spread(start):
    wires = start([{}, {}, {}], balance="hash", hash_on="cookie session")
    assert ask_many(wires, 30) == [10, 10, 10]


def test_one_busy_key_does_not_overload_its_upstream(start):
    """No more than 1.25 of its share of all that is in flight, rounded up."""
    wires = start([{}, {}, {}], balance="hash", hash_on="cookie key")
    served = Served(wires)
    served.hold(b"/slow")
    clients = []
    for number in range(24):
        clients.append(send(wires[0], b"/slow", b"busy"))
        served.wait_for(number + 1)
    assert max(counts(wires)) == 10 and min(counts(wires)) >= 4, counts(wires)
    served.release(b"/slow")
    for client in clients:
        assert client.read_response().status == 200


# Reload


def test_reload_changes_balancing_and_limits(start):
    wires = start([{}, {}], balance="hash", hash_on="cookie key")
    served = Served(wires)
    for _ in range(10):
        ask(wires[0], cookie=b"same")
    assert sorted(counts(wires)) == [0, 10]
    wires[0].proxy.reload(balance="round-robin")
    before = counts(wires)
    for _ in range(10):
        ask(wires[0], cookie=b"same")
    assert [after - known for after, known in zip(counts(wires), before)] == [5, 5]

    wires[0].proxy.reload(max_connections=1)
    served.hold(b"/run", b"/wait")
    total = len(served.everything())
    clients = []
    for number in range(2):
        clients.append(send(wires[0], b"/run"))
        served.wait_for(total + number + 1)
    clients.append(send(wires[0], b"/wait"))
    assert served.everything().count(b"/wait") == 0
    # A limit that is gone lets those go on that come from then on.
    wires[0].proxy.reload(max_connections="none")
    ask(wires[0], b"/new")
    served.release(b"/run", b"/wait")
    for client in clients:
        assert client.read_response().status == 200
