"""Graceful restarts of the units of a real systemd in user mode."""

import os

import pytest
from harness.stream import eventually
from restarts.deployment import POOL, SECONDS, Deployment
from restarts.load import Load
from restarts.systemd import UserSystemd
from restarts.watching import fates_of, upstreams_of

pytestmark = [
    pytest.mark.galaxy_lb,
    pytest.mark.timeout(120),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a mount namespace"),
]

TEMPLATE = """
[Service]
ExecStart={folder}/g%i.run
Restart=always
RestartSec=100ms
TimeoutStopSec=60
[Unit]
StartLimitIntervalSec=0
"""


class Units(Deployment):
    """Instances of a template unit."""

    def __init__(self, count):
        super().__init__(count)
        self.systemd = UserSystemd(self.folder / "systemd")
        try:
            self.systemd.write_unit("stand-in@.service", TEMPLATE.format(folder=self.folder))
            self.reset()
        except BaseException:
            self.end()
            raise

    @property
    def service(self):
        return {"systemd": "stand-in@%i", "user": True}

    def start(self, number):
        self.systemd.systemctl("restart", f"stand-in@{number}")

    def stop(self, number):
        self.systemd.systemctl("stop", f"stand-in@{number}")

    def end(self):
        self.systemd.end()
        super().end()


@pytest.fixture(scope="module")
def units():
    deployment = Units(2)
    yield deployment
    deployment.end()


@pytest.fixture
def deployment(units):
    """Two units that run and behave."""
    units.reset()
    return units


def test_one_after_the_other(deployment, proxies):
    """Instances of a template, and no other one of them; requests meanwhile don't fail."""
    proxy = proxies(deployment, prefix=deployment.systemd.prefix)
    before, new = deployment.pids(), deployment.deploy()
    load = Load(proxy.address)
    watcher = proxy.restart()
    end = watcher.finish()
    load.finish()
    assert end["result"] == "completed", watcher.story()
    units = [upstream["unit"] for upstream in watcher.of("begun")[0]["pools"][0]["upstreams"]]
    assert units == ["stand-in@0.service", "stand-in@1.service"]
    order = [(line["upstream"], line["phase"]) for line in watcher.of("phase")]
    assert order.index(("gunicorn0", "completed")) < order.index(("gunicorn1", "draining"))
    assert not set(deployment.pids()) & set(before)
    for upstream in upstreams_of(end["report"]).values():
        assert upstream["version_after"] == new and upstream["manager"] == "systemd"


@pytest.mark.parametrize("failure", ["exit", "program"])
def test_a_unit_that_fails(deployment, proxies, failure):
    """`Restart=always` starts it again and again; that it has died is seen at once."""
    proxy = proxies(deployment, prefix=deployment.systemd.prefix)
    before = deployment.pid(1)
    if failure == "exit":
        deployment.knob(0, "exit").write_text("7")
    else:
        deployment.make_startable(0, False)
    watcher = proxy.restart()
    end = watcher.finish()
    assert (end["result"], end["exit_status"]) == ("halted", 1), watcher.story()
    assert fates_of(end["report"]) == ["failed", "untouched"]
    (failed,) = watcher.of("phase", phase="failed")
    assert "exit status 7" in failed["reason"] or "exit status 203" in failed["reason"] or "died" in failed["reason"]
    assert deployment.pid(1) == before and proxy.standings() == ["maintenance", "ready"]
    # Mended, and brought back.
    deployment.knob(0, "exit").unlink(missing_ok=True)
    deployment.make_startable(0)
    end = proxy.restarted(start_if_stopped=True)
    assert end["result"] == "completed", end
    assert proxy.standings() == ["ready", "ready"]


def test_a_unit_that_is_stopped(deployment, proxies):
    proxy = proxies(deployment, prefix=deployment.systemd.prefix)
    deployment.stop(1)
    before = deployment.pid(0)
    refused = proxy.restarted()
    assert (refused["result"], refused["exit_status"]) == ("refused", 4), refused
    assert any("gunicorn1 is stopped" in problem for problem in refused["problems"]) and deployment.pid(0) == before
    assert proxy.restarted(start_if_stopped=True)["result"] == "completed"


def test_a_unit_that_is_not_there(deployment, proxies):
    service = {"systemd": "stand_in@%i", "user": True}
    proxy = proxies(deployment, prefix=deployment.systemd.prefix, pool={"service": service})
    before = deployment.pids()
    end = proxy.restarted()
    assert (end["result"], end["exit_status"]) == ("refused", 4), end
    assert all("stand_in@" in problem for problem in end["problems"]) and len(end["problems"]) == 2
    assert deployment.pids() == before


def test_the_proxy_is_killed_while_a_unit_stops(deployment, proxies):
    """systemd finishes the order alone."""
    proxy = proxies(deployment, prefix=deployment.systemd.prefix)
    old = deployment.pid(0)
    deployment.knob(0, "hold-stop").touch()
    watcher = proxy.restart()
    watcher.until("phase", phase="restarting", upstream="gunicorn0")
    eventually(lambda: not deployment.socket(0).exists(), "it stops", SECONDS)
    proxy = proxies.add(proxy.killed())
    watcher.close()
    deployment.knob(0, "hold-stop").unlink()
    eventually(lambda: deployment.pid(0) != old and deployment.answered(0), "it runs again", SECONDS)
    assert proxy.standings() == ["ready", "ready"]
    assert proxy.restarted()["result"] == "completed"


def test_no_systemd(deployment, proxies):
    prefix = [*deployment.systemd.prefix, "XDG_RUNTIME_DIR=/nowhere"]
    proxy = proxies(deployment, prefix=prefix)
    end = proxy.restarted(only=[f"{POOL}/gunicorn0"])
    assert (end["result"], end["exit_status"]) == ("refused", 4), end
    assert "can't be reached" in end["problems"][0]
