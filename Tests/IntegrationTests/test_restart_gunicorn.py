"""Graceful restarts of a real gunicorn by signal and by command."""

import os
from pathlib import Path

import pytest
from restarts.deployment import POOL
from restarts.gunicorn import APPLICATION, Gunicorn
from restarts.load import Load
from restarts.watching import fates_of, upstreams_of

pytestmark = [pytest.mark.galaxy_lb, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def shared():
    deployment = Gunicorn()
    yield deployment
    deployment.end()


@pytest.fixture
def gunicorn(shared):
    """A gunicorn without preload that runs."""
    shared.reset()
    return shared


@pytest.mark.parametrize("source", ["listener", "pid_file"])
def test_a_hup(gunicorn, proxies, source):
    """New workers with new code, the same master and socket; no request fails, and no POST is executed twice."""
    service = gunicorn.service | ({"pid_file": str(gunicorn.folder / "g0.pid")} if source == "pid_file" else {})
    proxy = proxies(gunicorn, pool={"service": service})
    master, workers, inode = gunicorn.pid(0), gunicorn.workers(), gunicorn.socket(0).stat().st_ino
    new = gunicorn.deploy()
    earlier = len(gunicorn.executed())
    load = Load(proxy.address)
    load.wait_for(20)
    watcher = proxy.restart()
    end = watcher.finish()
    load.wait_for(20)
    load.finish()
    assert (end["result"], end["exit_status"]) == ("completed", 0), watcher.story()
    assert "reloads its workers, as configured" in watcher.of("begun")[0]["pools"][0]["approach"]
    assert len(watcher.of("phase", phase="draining")) == 1 and end["report"]["longest_hold"] > 0
    assert gunicorn.pid(0) == master and not set(workers) & set(gunicorn.workers())
    assert gunicorn.socket(0).stat().st_ino == inode
    assert upstreams_of(end["report"])[f"{POOL}/gunicorn"]["version_after"] == new
    executed = [path.rpartition("/")[2] for path in gunicorn.executed()[earlier:]]
    assert sorted(executed) == sorted(load.keys)


def test_a_hup_with_broken_code(gunicorn, proxies):
    """gunicorn ends when its new workers can't start; that is noticed, and told."""
    proxy = proxies(gunicorn)
    code = gunicorn.folder / "application.py"
    code.write_text("raise SystemError('broken')\n")
    try:
        watcher = proxy.restart()
        end = watcher.finish()
    finally:
        code.write_text(APPLICATION)
    assert (end["result"], end["exit_status"]) == ("halted", 1), watcher.story()
    assert fates_of(end["report"]) == ["failed"]
    assert "restart time-out" not in watcher.of("phase", phase="failed")[0]["reason"]
    gunicorn.process.wait(30)


def test_a_hup_would_keep_the_code(gunicorn, proxies):
    """With preload it is refused before anything is touched."""
    proxy = proxies(gunicorn, pool={"service": {"signal": "HUP", "preload": True}})
    workers = gunicorn.workers()
    end = proxy.restarted()
    assert (end["result"], end["exit_status"]) == ("refused", 4), end
    assert "preloads its code, which a reload keeps" in end["problems"][0]
    assert gunicorn.workers() == workers


def test_a_command_is_told_the_master(gunicorn, proxies):
    """Also when workers have called listen(2) after it."""
    service = {"command": 'echo "$GALAXY_LB_PID"; exit 1'}
    proxy = proxies(gunicorn, pool={"service": service})
    end = proxy.restarted()
    assert end["result"] == "halted"
    assert upstreams_of(end["report"])[f"{POOL}/gunicorn"]["output"] == f"{gunicorn.pid(0)}\n"


def test_a_pid_file_of_something_else(gunicorn, proxies, folder):
    pid_file = Path(folder, "other.pid")
    pid_file.write_text(f"{os.getpid()}\n")
    proxy = proxies(gunicorn, pool={"service": {"signal": "HUP", "pid_file": str(pid_file)}})
    end = proxy.restarted()
    assert (end["result"], end["exit_status"]) == ("refused", 4), end
    assert "no gunicorn" in end["problems"][0], end["problems"]
