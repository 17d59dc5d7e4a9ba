"""galaxy-lb with settings of a pool that the other proxies don't have."""

import json
import signal

from .addresses import wait_until_read
from .client import get
from .proxies import GalaxyLB, Setup
from .stream import eventually
from .upstream import Upstream
from .wire import Starter, Wire


class Balanced(GalaxyLB):
    """galaxy-lb with a file of the test's own. JSON is YAML."""

    def __init__(self, setup, folder, file):
        self.file = file
        super().__init__(setup, folder)

    def command(self):
        # Anything that is no default makes the harness write a file.
        self.setup.threads = self.file["threads"]
        return super().command()

    def configuration(self):
        return json.dumps({"listen": self.address} | self.file)

    def reload(self, **pool):
        """Changes settings of the pool in the running proxy."""
        self.file["pools"]["main"] |= pool
        self.write("galaxy-lb.yml", self.configuration())
        done = self.program.log().count(b"configuration reloaded")
        self.program.send_signal(signal.SIGHUP)
        eventually(lambda: self.program.log().count(b"configuration reloaded") > done, "the reload")


class BalancedStarter(Starter):
    """`start([{"weight": 2}, {}], balance="hash")`: a wire for each upstream, named u0, u1 and so on."""

    def __call__(self, upstreams, threads=1, file=(), **pool):
        made = [Upstream(self.address()) for _ in upstreams]
        self.upstreams += made
        described = [{"name": f"u{number}", "address": upstream.address} | options
                     for number, (upstream, options) in enumerate(zip(made, upstreams))]
        content = {"threads": threads, "pools": {"main": pool | {"upstreams": described}}} | dict(file)
        return self.wires_of(content, made)

    def again(self, wires):
        """Another proxy with the same file."""
        return self.wires_of(wires[0].proxy.file, [wire.upstream for wire in wires])

    def before(self, addresses, **file):
        """A wire to servers that are not scripted, named u0, u1 and so on."""
        described = [{"name": f"u{number}", "address": address} for number, address in enumerate(addresses)]
        content = {"threads": 2, "pools": {"main": {"upstreams": described}}} | file
        proxy = Balanced(Setup(list(addresses)), f"{self.folder}/p{len(self.proxies)}", content)
        self.proxies.append(proxy)
        self.wires.append(Wire(proxy, None))
        return self.wires[-1]

    def wires_of(self, content, upstreams):
        setup = Setup([upstream.address for upstream in upstreams])
        proxy = Balanced(setup, f"{self.folder}/p{len(self.proxies)}", content)
        self.proxies.append(proxy)
        wires = [Wire(proxy, upstream) for upstream in upstreams]
        self.wires += wires
        return wires


def send(wire, target, cookie=b""):
    """A request that is not answered yet; returns when the proxy has read it."""
    client = wire.client()
    client.send(get(target, [(b"Cookie", b"key=" + cookie)]))
    wait_until_read(client.sock)
    return client
