"""A proxy from its configuration to its end: what all benchmarks have in common."""

import os
import shutil
import socket
import subprocess
import sys
import time

REPOSITORY = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def galaxy_lb_binary():
    return os.path.abspath(os.environ.get("GALAXY_LB", os.path.join(REPOSITORY, "build/galaxy-lb")))


def debian_binary(name):
    """A server that Debian keeps out of the PATH of ordinary users."""
    found = shutil.which(name, path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if not found:
        raise SystemExit(f"{name} is not installed")
    return found


def envoy_binary():
    return os.path.join(os.path.dirname(sys.executable), "envoy")


class Proxy:
    """A proxy in front of unix sockets, from start to stop. Subclasses say how it is configured and called."""

    name = ""
    # Envoy tells the format of a configuration by it.
    suffix = "conf"
    # Seconds until it must accept connections.
    patience = 10.0

    def __init__(self, sockets, folder):
        self.sockets = sockets
        self.folder = folder
        self.port = free_port()
        self.log = os.path.join(folder, f"{self.name}.log")
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log)
        deadline = time.monotonic() + self.patience
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        self.process.kill()
        self.process.wait()
        with open(self.log, encoding="utf-8", errors="replace") as log:
            raise SystemExit(f"{self.name} does not start:\n{log.read()[-2000:]}")

    def command(self):
        raise NotImplementedError

    def write(self, text):
        path = os.path.join(self.folder, f"{self.name}.{self.suffix}")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
