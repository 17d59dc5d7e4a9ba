"""galaxy-lb in front of services that are restarted."""

import json
import os
import signal
from pathlib import Path

from harness.client import Client
from harness.control import BINARY, Control
from harness.proxies import GalaxyLB, Setup
from harness.stream import eventually

from .deployment import POOL
from .watching import SECONDS, Watcher

# As short as it can be; nothing in it decides how a restart ends.
RULES = {"probation": "off", "ready": {"successes": 2, "interval": "50ms"}}


class RestartedProxy(GalaxyLB):
    """galaxy-lb with a file of the test's own, which is JSON and so YAML."""

    def __init__(self, folder, file, prefix=(), binary=BINARY):
        self.file = {"threads": 2, "timeouts": {"shutdown": "20s"}, "state_directory": f"{folder}/state"} | file
        self.prefix = list(prefix)
        self.binary = str(binary)
        self.clients = []
        super().__init__(Setup([]), str(folder))
        self.control = Control(f"{folder}/control.sock")

    def command(self):
        path = self.write("galaxy-lb.yml", self.configuration())
        return [*self.prefix, self.binary, "--config", path, "--control", f"unix:{self.folder}/control.sock"]

    def configuration(self):
        return json.dumps({"listen": self.address} | self.file)

    @property
    def state_directory(self):
        return Path(self.file["state_directory"])

    def client(self):
        """A connection that is closed when the test is over."""
        self.clients.append(Client(self.address))
        return self.clients[-1]

    def restart(self, **options):
        """Asks for a restart."""
        return Watcher(self.control, **options)

    def restarted(self, **options):
        """The last line of a whole restart."""
        return self.restart(**options).finish()

    def abort(self, expect=200):
        return self.control.post("/v1/restart/abort", {}, expect=expect)

    def last_report(self):
        """The report of the restart that has ended, whoever has watched it."""
        eventually(lambda: self.control.get("/v1/restart")["state"] == "idle", "the restart's end", SECONDS)
        return self.control.get("/v1/restart")["last"]

    def standings(self, pool=POOL):
        """What is wanted of each upstream, in order."""
        return [upstream["administrative"] for upstream in self.control.get("/v1/upstreams")["upstreams"]
                if upstream["pool"] == pool]

    def wait_for_in_flight(self, count):
        """Waits until so many requests are under way to upstreams."""
        eventually(
            lambda: sum(upstream["in_flight"]["total"]
                        for upstream in self.control.get("/v1/upstreams")["upstreams"]) >= count,
            f"{count} requests are under way")

    def reload(self, **changes):
        """Changes the file, and has it read."""
        self.file |= changes
        self.write("galaxy-lb.yml", self.configuration())
        before = self.control.get("/v1/status")["reloads"]["done"]
        self.program.send_signal(signal.SIGHUP)
        eventually(lambda: self.control.get("/v1/status")["reloads"]["done"] > before, "the reload")

    def killed(self):
        """Another proxy with the same file and address, after this one was killed."""
        os.kill(self.program.pid, signal.SIGKILL)
        self.program.child.wait(SECONDS)
        self.setup.listen = self.address
        return self.again()

    def again(self):
        """Another proxy with the same file and folder. This one must have ended."""
        return RestartedProxy(self.folder, self.file, self.prefix, self.binary)

    def finish(self):
        """Judges what it has left open, and ends it."""
        for client in self.clients:
            client.close()
        if self.program.alive():
            self.check_clean()
            self.stop()


class Proxies:
    """The proxies of one test."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.started = []

    def __call__(self, deployment, count=None, pool=(), gravity=(), file=(), rules=(), owner=None, **options):
        """One in front of the first so many services of a deployment, with a folder that belongs to `owner`."""
        folder = self.folder / f"p{len(self.started)}"
        folder.mkdir()
        if owner is not None:
            os.chown(folder, owner, owner)
        galaxy = deployment.galaxy_configuration(folder / "galaxy.yml", count or deployment.count, **dict(gravity))
        content = {"galaxy": [str(galaxy)], "restart": RULES | dict(rules),
                   "pools": {POOL: {"service": deployment.service} | dict(pool)}}
        return self.add(RestartedProxy(folder, content | dict(file), **options))

    def add(self, proxy):
        self.started.append(proxy)
        return proxy

    def finish(self):
        """Ends all, and judges what they have left open."""
        for proxy in self.started:
            proxy.finish()

    def abandon(self):
        """Leaves nothing running, whatever happened in the test."""
        for proxy in self.started:
            if proxy.program.alive():
                proxy.program.kill()
