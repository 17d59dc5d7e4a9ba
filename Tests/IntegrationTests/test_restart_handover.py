"""Graceful restarts by a command that hands the listening socket on, as gunicorn's upgrade on the fly does."""

import os
import signal
import subprocess

import pytest
from harness.process import is_running
from harness.stream import eventually
from restarts.deployment import POOL
from restarts.gunicorn import THREADED, Gunicorns
from restarts.load import Load
from restarts.watching import fates_of, upstreams_of

pytestmark = [pytest.mark.galaxy_lb, pytest.mark.timeout(120)]

# USR2: another master on the same socket; WINCH: the old workers end what they have; QUIT: so does the old master.
SCRIPT = """#!/bin/sh
set -e
cd "$(dirname "$0")"
file=g${GALAXY_LB_UPSTREAM#gunicorn}.pid
old=$(cat $file)
kill -USR2 $old
until [ -s $file.2 ]; do sleep 0.05; done
new=$(cat $file.2)
kill -WINCH $old
until [ "$(echo $(cat /proc/$old/task/$old/children))" = $new ]; do sleep 0.05; done
kill -QUIT $old
# The new master takes over the file when it has seen that the old one is gone.
until [ "$(cat $file 2> /dev/null)" = $new ]; do sleep 0.05; done
echo "$old is $new now"
"""


class Upgraded(Gunicorns):
    """Two gunicorns in the background, each upgraded by a script."""

    def __init__(self):
        super().__init__(2, options=(*THREADED, "--daemon"))
        self.script = self.folder / "upgrade"
        self.script.write_text(SCRIPT)
        self.script.chmod(0o755)
        self.begin()

    @property
    def service(self):
        return {"command": [str(self.script)], "keeps_socket": True}

    def start(self, number):
        program = self.program(number)
        program["args"] += ["--error-logfile", self.folder / f"g{number}.log"]
        subprocess.run(**program, check=True, timeout=30)

    def sockets(self):
        return [self.socket(number).stat().st_ino for number in range(self.count)]

    def end(self):
        pids = [int(file.read_text()) for file in self.folder.glob("*.pid*")]
        for pid in filter(is_running, pids):
            os.kill(pid, signal.SIGQUIT)
        eventually(lambda: not any(map(is_running, pids)), "they have ended", 20)
        super().end()


@pytest.fixture(scope="module")
def shared():
    deployment = Upgraded()
    yield deployment
    deployment.end()


@pytest.fixture
def upgraded(shared):
    """Two gunicorns that run."""
    shared.reset()
    return shared


def test_a_socket_that_is_handed_on(upgraded, proxies):
    """Other masters with new code behind the same sockets; no request fails, and no POST is executed twice."""
    proxy = proxies(upgraded)
    before, sockets, new = upgraded.pids(), upgraded.sockets(), upgraded.deploy()
    earlier = len(upgraded.executed())
    load = Load(proxy.address)
    load.wait_for(20)
    watcher = proxy.restart()
    end = watcher.finish()
    load.wait_for(20)
    load.finish()
    assert (end["result"], end["exit_status"]) == ("completed", 0), watcher.story()
    assert upgraded.sockets() == sockets and not set(before) & set(upgraded.pids())
    assert len(watcher.of("phase", phase="draining")) == 2
    for number, report in enumerate(upstreams_of(end["report"]).values()):
        assert report["version_after"] == upgraded.answered(number) == new
        assert report["output"] == f"{before[number]} is {upgraded.pid(number)} now\n"
        assert report["failed_requests"] == 0
    executed = [path.rpartition("/")[2] for path in upgraded.executed()[earlier:]]
    assert sorted(executed) == sorted(load.keys)


def test_preloaded_code_is_no_obstacle(upgraded, proxies):
    """What a HUP would keep, another master loads anew."""
    proxy = proxies(upgraded, pool={"service": upgraded.service | {"preload": True}})
    new = upgraded.deploy()
    end = proxy.restarted()
    assert (end["result"], end["exit_status"]) == ("completed", 0), end
    assert [upgraded.answered(number) for number in (0, 1)] == [new, new]


def test_a_command_that_changes_nothing(upgraded, proxies):
    """The version that answers shows it."""
    service = {"command": "true", "keeps_socket": True}
    proxy = proxies(upgraded, pool={"service": service}, rules={"timeout": "2s"})
    old = upgraded.answered(0)
    new = upgraded.deploy()
    end = proxy.restarted()
    assert (end["result"], end["exit_status"]) == ("halted", 1), end
    assert fates_of(end["report"]) == ["failed", "untouched"]
    assert f"version {old} still answers, and on disk is {new}" in end["message"]


def test_without_the_key_it_halts(upgraded, proxies):
    """And the message says what is missing."""
    service = {"command": upgraded.service["command"]}
    proxy = proxies(upgraded, pool={"service": service}, rules={"timeout": "8s"})
    upgraded.deploy()
    watcher = proxy.restart()
    end = watcher.finish()
    assert (end["result"], end["exit_status"]) == ("halted", 1), watcher.story()
    assert fates_of(end["report"]) == ["failed", "untouched"]
    assert "say 'keeps_socket: true' in its service" in end["message"]
    reason = upstreams_of(end["report"])[f"{POOL}/gunicorn0"]["reason"]
    assert reason in end["message"] and watcher.of("phase", phase="failed")[0]["reason"] == reason
