"""Brings a restart into a phase, and holds it there."""

import os
import signal

from harness.client import Client, get
from harness.stream import eventually

# Long enough that a test can do something meanwhile.
PROBATION = {"shares": [50], "duration": "2s", "longest_duration": "2s"}


class Held:
    """A restart under supervisor that stays in a phase of its first upstream until it is released."""

    PHASES = ("preflight", "draining", "restarting", "awaiting_readiness", "probation")

    def __init__(self, phase, deployment, proxy, **options):
        self.deployment = deployment
        self.clients = []
        if phase == "preflight":
            os.kill(deployment.process.pid, signal.SIGSTOP)
        elif phase == "draining":
            self.hold_requests(proxy)
        elif phase == "restarting":
            deployment.knob(0, "hold-stop").touch()
        elif phase == "awaiting_readiness":
            deployment.knob(0, "hold-boot").touch()
        self.watcher = proxy.restart(**options)
        if phase == "preflight":
            self.watcher.until("begun")
        else:
            self.watcher.until("phase", phase=phase)
        if phase == "restarting":
            eventually(lambda: not deployment.socket(0).exists(), "it stops")

    @staticmethod
    def rules(phase):
        """What the proxy has to be told for it."""
        return {"probation": PROBATION} if phase == "probation" else {}

    def hold_requests(self, proxy):
        """Each upstream has a request that is not answered: they are sent to the one that has fewer."""
        self.deployment.held_requests.touch()
        for number in range(len(proxy.standings())):
            self.clients.append(Client(proxy.address))
            self.clients[-1].send(get(b"/held"))
            proxy.wait_for_in_flight(number + 1)

    def release(self):
        """Lets it go on."""
        if hasattr(self.deployment, "process"):
            os.kill(self.deployment.process.pid, signal.SIGCONT)
        self.deployment.held_requests.unlink(missing_ok=True)
        for knob in ("hold-stop", "hold-boot"):
            self.deployment.knob(0, knob).unlink(missing_ok=True)

    def answers(self):
        """The statuses that the held requests got."""
        return [client.read_response().status for client in self.clients]

    def close(self):
        """Leaves no connection open."""
        self.watcher.close()
        for client in self.clients:
            client.close()
