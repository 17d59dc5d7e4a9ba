"""One proxy with one scripted upstream, and what every test checks about them."""

import os

from .addresses import free_port
from .client import Client, get
from .message import Truncated
from .proxies import Setup
from .stream import StreamEnded
from .upstream import Upstream

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: smuggled.example\r\n\r\n"


def upstream_address(kind, folder, name):
    """An address for an upstream on a `unix` or a `tcp` socket."""
    return f"unix:{folder}/{name}.sock" if kind == "unix" else f"127.0.0.1:{free_port()}"


class Wire:
    """What a test holds: clients of the proxy on one side, the upstream on the other."""

    def __init__(self, proxy, upstream):
        self.proxy = proxy
        self.upstream = upstream
        self.clients = []
        self.sentinels = 0

    @property
    def program(self):
        return self.proxy.program

    def client(self, **options):
        client = Client(self.proxy.address, **options)
        self.clients.append(client)
        return client

    def exchange(self, data, method=None):
        """One request on a connection of its own; the request seen upstream, the answer."""
        before = len(self.upstream.requests)
        client = self.client()
        response = client.exchange(data, method)
        client.close()
        assert response.status < 400 or len(self.upstream.requests) > before, (
            f"refused with {response.status}: {data[:300]!r}")
        self.upstream.wait_for_requests(before + 1)
        return self.upstream.requests[before], response

    def forwarded(self, data, method=None):
        """The request as upstream saw it; fails unless it was answered with 200."""
        request, response = self.exchange(data, method)
        assert response.status == 200, f"{response.status} for {data[:300]!r}"
        return request

    def check_forwards(self):
        """Sends an ordinary request through, after which earlier ones have arrived."""
        self.sentinels += 1
        target = b"/sentinel-%d" % self.sentinels
        client = self.client()
        response = client.exchange(get(target))
        client.close()
        assert response.status == 200, f"the next request got {response.status}"
        self.upstream.wait_for(
            lambda: any(request.target == target for request in self.upstream.requests),
            "the request after it reaches upstream")
        return target

    def requests_but_sentinels(self):
        return [r for r in self.upstream.requests if not r.target.startswith(b"/sentinel-")]

    def heads_but_sentinels(self):
        return [r for r in self.upstream.heads if not r.target.startswith(b"/sentinel-")]

    def check_nothing_smuggled(self):
        for received in self.upstream.all_received():
            assert b"/smuggled" not in received, f"smuggled: {received!r}"

    def expect_rejected(self, data, statuses=(400,), begun=False, may_close=False):
        """A bad request is answered once and closed, and never reaches upstream.

        A request follows in the same segment, which must not be answered. With
        `begun` the head was good, so that upstream may see it, but never whole.
        With `may_close` a close without an answer is as good.
        """
        client = self.client()
        client.send(data + SMUGGLED)
        try:
            response = client.read_response(data.split(b" ", 1)[0].strip())
        except (StreamEnded, Truncated):
            assert may_close or begun, f"closed without an answer to {data[:300]!r}"
            response = None
        if response is not None:
            assert response.status in statuses, f"{response.status} for {data[:300]!r}"
            client.expect_close()
        client.close()
        self.check_forwards()
        assert self.requests_but_sentinels() == [], f"{data[:300]!r} reached upstream"
        if not begun:
            assert self.heads_but_sentinels() == [], f"{data[:300]!r} reached upstream"
        self.check_nothing_smuggled()
        return response

    def rejected_or_forwarded(self, data, statuses=(400,), begun=False):
        """The request as upstream saw it, or None after a proper rejection."""
        client = self.client()
        client.send(data)
        method = data.lstrip().split(b" ", 1)[0]
        try:
            response = client.read_response(method)
        except (StreamEnded, Truncated):
            assert begun, f"closed without an answer to {data[:300]!r}"
            response = None
        client.close()
        if response is not None and response.status == 200:
            return self.upstream.wait_for_requests(1)[0]
        if response is not None:
            assert response.status in statuses, f"{response.status} for {data[:300]!r}"
        self.check_forwards()
        assert self.requests_but_sentinels() == [], f"{data[:300]!r} reached upstream"
        return None

    def check_growth(self, before, bound):
        """Fails when the proxy holds `bound` bytes more than it did before.

        A sanitizer keeps freed memory aside, so that its build is not measured.
        """
        grown = self.program.resident() - before
        assert grown < bound or self.program.sanitizers, f"{grown} bytes more, {bound} allowed"

    def finish(self):
        """Leaves nothing open, and judges what the proxy did meanwhile."""
        for client in self.clients:
            client.close()
        self.clients = []
        self.program.check_alive()
        self.upstream.end_connections()
        self.upstream.check()

    def abandon(self):
        """Leaves nothing open after a test that failed."""
        for client in self.clients:
            client.close()
        self.clients = []
        self.upstream.drop_connections()


class Starter:
    """Starts proxies for one test.

    `start(upstreams=2, timeouts={...})` returns a wire for each upstream; they
    share the one proxy.
    """

    def __init__(self, proxy_kind, kind, folder):
        self.proxy_kind = proxy_kind
        self.kind = kind
        self.folder = folder
        self.proxies = []
        self.upstreams = []
        self.wires = []

    def address(self):
        """A new address of the kind that is tested, on which nobody listens yet."""
        return upstream_address(self.kind, self.folder, os.urandom(4).hex())

    def __call__(self, upstreams=1, addresses=(), backlog=512, backups=(), listen="", **settings):
        made = [Upstream(self.address(), backlog) for _ in range(upstreams)]
        self.upstreams += made
        places = [upstream.address for upstream in made] + list(addresses)
        setup = Setup(places, backups=[places[index] for index in backups], listen=listen,
                      **settings)
        proxy = self.proxy_kind(setup, f"{self.folder}/p{len(self.proxies)}")
        self.proxies.append(proxy)
        group = [Wire(proxy, upstream) for upstream in made] or [Wire(proxy, None)]
        self.wires += group
        return group[0] if len(group) == 1 else group

    def finish(self):
        """Ends all in order, and judges what the proxies did meanwhile."""
        for wire in self.wires:
            for client in wire.clients:
                client.close()
        for upstream in self.upstreams:
            upstream.stop()
            upstream.check()
        for proxy in self.proxies:
            if proxy.program.alive():
                proxy.check_clean()
                proxy.stop()

    def abandon(self):
        """Leaves nothing open or running, whatever happened in the test."""
        for wire in self.wires:
            for client in wire.clients:
                client.close()
        for proxy in self.proxies:
            if proxy.program.alive():
                proxy.program.kill()
        for upstream in self.upstreams:
            upstream.close_listener()
            upstream.drop_connections()
