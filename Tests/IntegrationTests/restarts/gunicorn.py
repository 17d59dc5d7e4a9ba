"""Real gunicorns whose workers answer for a Galaxy of a configuration."""

import os
import subprocess
import sys
from pathlib import Path

from harness.process import is_running
from harness.stream import eventually

from .deployment import Deployment

PROGRAM = Path(sys.executable).parent / "gunicorn"
APPLICATION = """
import json
from galaxy.version import VERSION_MAJOR, VERSION_MINOR

def application(environ, start_response):
    path = environ["PATH_INFO"]
    content = environ["wsgi.input"].read()
    if path == "/api/version":
        content = json.dumps({"version_major": VERSION_MAJOR, "version_minor": VERSION_MINOR}).encode()
    if environ["REQUEST_METHOD"] == "POST":
        with open("executed", "ab", buffering=0) as file:
            file.write(path.encode() + b"\\n")
    start_response("200 OK", [("Content-Length", str(len(content)))])
    return [content]
"""
THREADED = ("--worker-class", "gthread", "--threads", "4")


def children(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


class Gunicorns(Deployment):
    """So many gunicorns with workers of one kind."""

    application = APPLICATION

    def __init__(self, count, workers=2, options=THREADED):
        super().__init__(count)
        self.worker_count = workers
        self.options = options
        (self.folder / "application.py").write_text(self.application)
        (self.folder / "lib/galaxy/__init__.py").touch()

    def program(self, number):
        """The arguments of `subprocess` that start one."""
        command = [PROGRAM, "application:application", "--bind", f"unix:{self.socket(number)}",
                   "--workers", str(self.worker_count), "--pid", self.folder / f"g{number}.pid",
                   "--no-control-socket", *self.options]
        environment = os.environ | {"PYTHONPATH": str(self.folder / "lib"), "PYTHONDONTWRITEBYTECODE": "1"}
        return {"args": command, "cwd": self.folder, "env": environment, "stdin": subprocess.DEVNULL}


class Gunicorn(Gunicorns):
    """One gunicorn, a child of the test."""

    def __init__(self, workers=2, options=THREADED, preload=False):
        super().__init__(1, workers, (*options, *(["--preload"] if preload else [])))
        self.preload = preload
        self.process = None
        self.start(0)
        self.begin()

    @property
    def service(self):
        return {"signal": "HUP", "preload": self.preload}

    def start(self, number):
        with open(self.folder / "g0.log", "ab") as log:
            self.process = subprocess.Popen(**self.program(number), stdout=log, stderr=log)

    def bring_up(self, number):
        eventually(lambda: self.answered(0) or self.process.poll() is not None, "gunicorn answers", 40)
        if self.process.poll() is not None:
            self.start(0)
        eventually(
            lambda: self.answered(0) and len(self.workers()) == self.worker_count, "all workers run", 40)

    def workers(self):
        return children(self.process.pid)

    def end(self):
        workers = self.workers() if self.process.poll() is None else []
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(20)
        eventually(lambda: not any(map(is_running, workers)), "its workers have ended", 20)
        super().end()
