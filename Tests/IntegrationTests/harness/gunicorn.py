"""Real gunicorns that run `application`."""

import hashlib
import os
import signal
import sys

from .load import Load
from .process import Program
from .stream import eventually

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class Gunicorn:
    """A gunicorn with two uvicorn workers on an address."""

    def __init__(self, address, folder, name, environment=None):
        self.address = address
        self.log = f"{folder}/{name}.log"
        self.environment = os.environ | (environment or {})
        self.start()

    def start(self):
        command = [sys.executable, "-m", "gunicorn", "--chdir", TESTS, "--bind", self.address, "--workers", "2",
                   "--worker-class", "uvicorn_worker.UvicornWorker", "--graceful-timeout", "10", "--no-control-socket",
                   "application:application"]
        self.program = Program(command, self.log, self.environment)
        eventually(self.ready, f"gunicorn accepts: {self.program.tail()}", 40, 0.05)

    def ready(self):
        assert self.program.alive(), self.program.tail()
        return self.program.log().count(b"Application startup complete") >= 2

    def stop(self):
        self.program.stop(signal.SIGTERM, 30)


class RealLoad(Load):
    """The same load; what real gunicorns answer begins with the path."""

    def wanted(self, target, body):
        return target + b" %d %s" % (len(body), hashlib.sha256(body).hexdigest().encode())
