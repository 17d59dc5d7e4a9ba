"""The driver that sends a HUP, against a real gunicorn."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from managers.probe import SECONDS, Probe, end, is_running, probe_path, wait_until

GUNICORN = Path(sys.executable).parent / "gunicorn"

pytestmark = [pytest.mark.galaxy_lb, pytest.mark.timeout(3 * SECONDS)]

GOOD = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Length", "0")])
    return [b""]
"""


class Gunicorn:
    """A gunicorn with two workers that load their code themselves."""

    def __init__(self, folder: Path) -> None:
        """Starts it, and waits until both workers are there."""
        self.folder = folder
        self.code = folder / "application.py"
        self.code.write_text(GOOD)
        self.pid_file = folder / "gunicorn.pid"
        self.address = f"unix:{folder}/gunicorn.sock"
        self.process = subprocess.Popen(
            [GUNICORN, "application:application", "--bind", self.address, "--workers", "2", "--pid", self.pid_file],
            cwd=folder,
            env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
        )
        self.by_listener = Probe("signal:listener")
        self.by_file = Probe(f"signal:{self.pid_file}")
        self.by_listener.until(self.address, lambda it: len(it["workers"]) == 2)
        wait_until(self.pid_file.exists, "the pid file")


@pytest.fixture
def gunicorn():
    """A running gunicorn."""
    folder = Path(tempfile.mkdtemp(prefix="gunicorn-"))
    running = Gunicorn(folder)
    yield running
    end(running.process)
    shutil.rmtree(folder)


@pytest.mark.parametrize("source", ["by_listener", "by_file"])
def test_a_reload_replaces_the_workers_and_keeps_the_master(gunicorn, source):
    probe = getattr(gunicorn, source)
    old = probe("inspect", gunicorn.address)
    assert old["state"] == "running" and old["process"] == gunicorn.process.pid
    inode = os.stat(gunicorn.folder / "gunicorn.sock").st_ino

    new = probe("walk", gunicorn.address)
    assert new["verdict"] == "started", new
    assert new["process"] == old["process"] and new["run"] == old["run"]
    assert new["workers"] and not set(new["workers"]) & set(old["workers"])
    assert not any(map(is_running, old["workers"]))
    assert os.stat(gunicorn.folder / "gunicorn.sock").st_ino == inode


def test_broken_code_ends_the_master(gunicorn):
    gunicorn.code.write_text("raise SystemError('broken')\n")
    report = gunicorn.by_listener("walk", gunicorn.address)
    # New workers that have not come to the broken line yet look like good ones; only a probe would know.
    assert report["verdict"] in ("failed", "started"), report
    assert gunicorn.process.wait(SECONDS) != 0
    assert gunicorn.by_listener("inspect", gunicorn.address)["state"] == "stopped"
    assert gunicorn.by_listener("reload", gunicorn.address)["error"] == "wrongState"


def test_a_worker_is_not_taken_for_the_master(gunicorn):
    worker = gunicorn.by_listener("inspect", gunicorn.address)["workers"][0]
    gunicorn.pid_file.write_text(f"{worker}\n")
    report = gunicorn.by_file("reload", gunicorn.address)
    assert report["error"] == "wrongProcess" and f"{gunicorn.process.pid} is its master" in report["message"]
    assert is_running(worker)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_another_user_may_not(gunicorn):
    gunicorn.folder.chmod(0o755)
    copy = shutil.copy(probe_path(), gunicorn.folder / "probe")
    command = [copy, "signal:listener", "reload", gunicorn.address, "10"]
    options = {"user": 65534, "group": 65534, "extra_groups": [], "cwd": "/"}
    run = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, **options)
    assert '"error":"permissionDenied"' in run.stdout, run.stdout + run.stderr
    assert gunicorn.process.poll() is None


def test_a_gunicorn_that_is_gone(gunicorn):
    end(gunicorn.process)
    status = gunicorn.by_listener("inspect", gunicorn.address)
    assert status["state"] == "stopped" and "nobody listens" in status["description"]


def test_no_descriptor_is_left_open(gunicorn):
    before, after = gunicorn.by_listener("descriptors", gunicorn.address)["descriptors"]
    assert after == before
