"""The programs in C that the measurement needs: an upstream, a bare relay, and loads."""

import os
import select
import shutil
import socket
import subprocess
import time

from proxy import REPOSITORY, Proxy

SOURCES = os.path.join(REPOSITORY, "Benchmarks", "programs")
BUILT = os.path.join(REPOSITORY, "build", "benchmark")
NAMES = ("upstream", "relay", "load", "websocket", "readers")


def build():
    """Compiles what is older than its source."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if not compiler:
        raise SystemExit("a C compiler (gcc) is needed for the programs of the benchmark")
    os.makedirs(BUILT, exist_ok=True)
    newest_header = max(os.path.getmtime(os.path.join(SOURCES, name))
                        for name in os.listdir(SOURCES) if name.endswith(".h"))
    for name in NAMES:
        source, program = os.path.join(SOURCES, f"{name}.c"), os.path.join(BUILT, name)
        if os.path.exists(program) and os.path.getmtime(program) > max(os.path.getmtime(source), newest_header):
            continue
        subprocess.run([compiler, "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-o", program, source],
                       check=True, timeout=120)


def path(name):
    return os.path.join(BUILT, name)


class Upstream:
    """One process that answers on as many unix sockets as are wanted. As a contender: the floor without any proxy."""

    name = "no proxy"

    def __init__(self, folder, count):
        self.sockets = [os.path.join(folder, f"upstream{number}.sock") for number in range(count)]
        self.process = subprocess.Popen([path("upstream"), *self.addresses])
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            try:
                with socket.socket(socket.AF_UNIX) as probe:
                    probe.connect(self.sockets[-1])
                    return
            except OSError:
                time.sleep(0.01)
        self.stop()
        raise SystemExit("the upstream does not start")

    @property
    def addresses(self):
        return [f"unix:{name}" for name in self.sockets]

    def stop(self):
        self.process.kill()
        self.process.wait()


class Relay(Proxy):
    """The floor of any proxy that passes every byte on: a bare relay, event by event."""

    name = "relay"

    def __init__(self, sockets, folder, setup):
        self.setup = setup
        super().__init__(sockets, folder)

    @property
    def addresses(self):
        return [f"127.0.0.1:{self.port}"]

    def command(self):
        options = ["--splice"] * self.setup.splices + ["--defer"] * self.setup.defers
        return [*self.setup.wrapper, path("relay"), *options, f"127.0.0.1:{self.port}",
                *(f"unix:{name}" for name in self.sockets)]


class Load:
    """A load in its three steps: connected (constructed), measured (`go`), gone (`end`)."""

    def __init__(self, program, arguments, addresses, patience):
        self.patience = patience
        self.process = subprocess.Popen([path(program), *arguments, *addresses],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if self.line(60) != b"ready\n":
            self.end()
            raise RuntimeError(f"{program} did not get ready")

    def line(self, seconds):
        ready, _, _ = select.select([self.process.stdout], [], [], seconds)
        return self.process.stdout.readline() if ready else b""

    def go(self):
        self.process.stdin.write(b"g")
        self.process.stdin.flush()

    def result(self):
        """The line of JSON; empty if there is none in time."""
        return self.line(self.patience)

    def end(self):
        self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
