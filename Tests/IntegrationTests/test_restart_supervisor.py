"""Graceful restarts of services under a real supervisord: whole ones, and what goes wrong in the middle."""

import json
import os
import shutil
import signal
from pathlib import Path

import pytest
from harness.client import Client, get
from harness.control import BINARY
from harness.process import is_running
from harness.stream import eventually
from restarts.deployment import Supervised
from restarts.load import Load
from restarts.phases import Held
from restarts.watching import fates_of, upstreams_of

pytestmark = [pytest.mark.galaxy_lb, pytest.mark.timeout(120)]

NOBODY = 65534


@pytest.fixture(scope="module")
def supervised():
    deployment = Supervised(2)
    yield deployment
    deployment.end()


@pytest.fixture
def deployment(supervised):
    """Two programs that run and behave."""
    os.kill(supervised.process.pid, signal.SIGCONT)
    supervised.reset()
    return supervised


def served(proxy):
    """The version that users get."""
    client = Client(proxy.address)
    response = client.exchange(get(b"/api/version", [(b"Connection", b"close")]))
    client.close()
    assert response.status == 200, response.body
    document = json.loads(response.body)
    return f"{document['version_major']}.{document['version_minor']}"


def stopped_notes(proxy):
    """Notes of units that are stopped and have to be started."""
    return list(proxy.state_directory.glob("*.stopped"))


def test_a_whole_restart(deployment, proxies):
    """One after the other, each a new process with the new version; the others are not touched."""
    proxy = proxies(deployment)
    before, old = deployment.pids(), deployment.answered(0)
    new = deployment.deploy()
    watcher = proxy.restart()
    end = watcher.finish()
    assert (end["result"], end["exit_status"], end["problems"]) == ("completed", 0, []), watcher.story()
    (begun,) = watcher.of("begun")
    assert not begun["attached"] and not begun["dry_run"]
    assert [upstream["unit"] for upstream in begun["pools"][0]["upstreams"]] == ["galaxy:g0", "galaxy:g1"]
    for line in watcher.of("preflight"):
        assert line["unit"] == "running" and line["answers"], line
        assert line["version_on_disk"] == new, line
    phases = [(line["upstream"], line["phase"]) for line in watcher.of("phase")]
    assert phases == [(name, phase) for name in ("gunicorn0", "gunicorn1")
                      for phase in ("draining", "restarting", "awaiting_readiness", "completed")]
    assert not set(deployment.pids()) & set(before)
    assert [deployment.answered(number) for number in (0, 1)] == [new, new]
    for upstream in upstreams_of(end["report"]).values():
        assert upstream["fate"] == "restarted" and upstream["manager"] == "supervisor"
        assert upstream["version_after"] == new and upstream["failed_requests"] == 0
    assert upstreams_of(end["report"])["main/gunicorn0"]["version_before"] == old
    assert proxy.standings() == ["ready", "ready"] and not stopped_notes(proxy)

    report = Path(end["report_file"])
    assert report.parent == proxy.state_directory
    assert json.loads(report.with_suffix(".json").read_text()) == end["report"] == proxy.last_report()
    text = report.read_text()
    assert "completed (exit status 0)" in text and f"{new} after" in text and "gunicorn1" in text


def test_requests_meanwhile(deployment, proxies):
    """None fails, and each POST is carried out once."""
    proxy = proxies(deployment)
    deployment.deploy()
    earlier = len(deployment.executed())
    load = Load(proxy.address)
    load.wait_for(50)
    end = proxy.restarted()
    load.wait_for(50)
    load.finish()
    assert end["result"] == "completed", end
    executed = [path.rpartition("/")[2] for path in deployment.executed()[earlier:]]
    assert sorted(executed) == sorted(load.keys)
    assert sum(upstream["failed_requests"] for upstream in upstreams_of(end["report"]).values()) == 0


def test_a_dry_run_touches_nothing(deployment, proxies):
    proxy = proxies(deployment)
    before = deployment.pids()
    watcher = proxy.restart(dry_run=True)
    end = watcher.finish()
    assert (end["result"], end["exit_status"]) == ("rehearsed", 0)
    assert watcher.of("begun")[0]["dry_run"] and len(watcher.of("preflight")) == 2 and not watcher.of("phase")
    assert deployment.pids() == before and fates_of(end["report"]) == ["untouched", "untouched"]


def test_only_one(deployment, proxies):
    proxy = proxies(deployment)
    before = deployment.pids()
    end = proxy.restarted(only=["main/gunicorn1"])
    assert end["result"] == "completed" and "1 upstream" in end["message"]
    assert fates_of(end["report"]) == ["restarted"]
    assert deployment.pid(0) == before[0] and deployment.pid(1) != before[1]


# Code that can't be deployed.


def check_halted(proxy, deployment, end, old, reason):
    """The first one is out, the second one serves as before, and users have not noticed."""
    assert (end["result"], end["exit_status"]) == ("halted", 1), end
    assert fates_of(end["report"]) == ["failed", "untouched"]
    failed = upstreams_of(end["report"])["main/gunicorn0"]
    assert reason in failed["reason"], failed
    assert failed["reason"] in end["message"]
    assert proxy.standings() == ["maintenance", "ready"]
    assert deployment.answered(1) == old and served(proxy) == old


def test_a_program_that_is_gone(deployment, proxies):
    proxy = proxies(deployment)
    old = deployment.answered(1)
    deployment.deploy()
    deployment.make_startable(0, False)
    check_halted(proxy, deployment, proxy.restarted(), old, "supervisor can't start 'galaxy:g0'")
    assert not stopped_notes(proxy), "nobody waits for this unit any more"


def test_a_program_that_dies(deployment, proxies):
    """Noticed when supervisor notices it. Then it is kept out until somebody asks for it to be brought up."""
    proxy = proxies(deployment)
    old = deployment.answered(1)
    new = deployment.deploy()
    deployment.knob(0, "exit").write_text("3")
    watcher = proxy.restart()
    end = watcher.finish()
    check_halted(proxy, deployment, end, old, "it ")
    (failed,) = watcher.of("phase", phase="failed")
    assert "restart time-out" not in failed["reason"]
    # supervisor's own words. On a slow machine it dies after `startsecs` only, and supervisor took it for started.
    too_quickly = "Exited too quickly" in failed["reason"] and (
        "ended soon after its start" in failed["reason"] or "does not start" in failed["reason"])
    assert too_quickly or "it ended: supervisor says EXITED with status 3" in failed["reason"], failed

    deployment.knob(0, "exit").unlink()
    refused = proxy.restarted()
    assert (refused["result"], refused["exit_status"]) == ("refused", 4)
    assert any("--start-if-stopped" in problem for problem in refused["problems"]), refused["problems"]
    assert deployment.answered(1) == old
    end = proxy.restarted(start_if_stopped=True)
    assert end["result"] == "completed", end
    assert [deployment.answered(number) for number in (0, 1)] == [new, new]
    assert proxy.standings() == ["ready", "ready"]


def test_a_program_that_never_answers(deployment, proxies):
    ready = {"successes": 1, "interval": "50ms", "timeout": "500ms"}
    proxy = proxies(deployment, rules={"timeout": "3s", "ready": ready})
    old = deployment.answered(1)
    deployment.deploy()
    deployment.knob(0, "mute").touch()
    check_halted(proxy, deployment, proxy.restarted(), old, "it was not ready within its restart time-out")


def test_a_program_with_the_old_version(deployment, proxies):
    proxy = proxies(deployment)
    old = deployment.answered(1)
    deployment.knob(0, "old").write_text((deployment.folder / "lib/galaxy/version.py").read_text())
    stale = deployment.version
    new = deployment.deploy()
    end = proxy.restarted()
    check_halted(proxy, deployment, end, old, f"it runs version {stale}, and on disk is {new}")
    end = proxy.restarted(start_if_stopped=True, allow_version_skew=True)
    assert end["result"] == "completed", end
    assert upstreams_of(end["report"])["main/gunicorn0"]["version_after"] == stale


@pytest.mark.parametrize("seconds", [3, pytest.param(60, marks=[pytest.mark.slow, pytest.mark.timeout(240)])])
def test_a_program_that_takes_long(deployment, proxies, seconds):
    """The other one serves meanwhile, as long as a Galaxy may take."""
    proxy = proxies(deployment)
    new = deployment.deploy()
    deployment.knob(1, "delay").write_text(str(seconds))
    load = Load(proxy.address)
    end = proxy.restarted()
    load.finish()
    assert end["result"] == "completed", end
    assert upstreams_of(end["report"])["main/gunicorn1"]["version_after"] == new


def test_a_program_that_is_stopped(deployment, proxies):
    """Nothing is touched, unless it is to be brought up."""
    proxy = proxies(deployment)
    deployment.stop(1)
    before = deployment.pid(0)
    new = deployment.deploy()
    refused = proxy.restarted()
    assert (refused["result"], refused["exit_status"]) == ("refused", 4)
    assert any("is stopped" in problem for problem in refused["problems"]), refused["problems"]
    assert deployment.pid(0) == before and fates_of(refused["report"]) == ["untouched", "untouched"]
    watcher = proxy.restart(start_if_stopped=True)
    assert watcher.finish()["result"] == "completed", watcher.story()
    begun = [line["upstream"] for line in watcher.of("phase", phase="restarting")]
    assert begun == ["gunicorn1", "gunicorn0"]
    assert [deployment.answered(number) for number in (0, 1)] == [new, new]


# A supervisor that can't be told anything.


def test_a_supervisor_that_hangs(deployment, proxies):
    proxy = proxies(deployment, rules={"preflight_timeout": "1s"})
    before = deployment.pids()
    os.kill(deployment.process.pid, signal.SIGSTOP)
    try:
        end = proxy.restarted()
    finally:
        os.kill(deployment.process.pid, signal.SIGCONT)
    assert (end["result"], end["exit_status"]) == ("refused", 4), end
    assert deployment.pids() == before and proxy.standings() == ["ready", "ready"]
    assert proxy.restarted(dry_run=True)["result"] == "rehearsed"


def test_a_supervisor_that_is_gone(proxies):
    """Its programs live on without it, and go on to serve."""
    deployment = Supervised(2)
    try:
        proxy = proxies(deployment)
        deployment.process.kill()
        deployment.process.wait(20)
        before = deployment.pids()
        end = proxy.restarted()
        assert (end["result"], end["exit_status"]) == ("refused", 4), end
        assert all("can't be reached" in problem for problem in end["problems"]), end["problems"]
        assert deployment.pids() == before and all(map(is_running, before))
        assert served(proxy) == deployment.version
        proxy.finish()
    finally:
        deployment.end()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_supervisor_that_refuses(deployment, proxies, folder):
    """Run by somebody else than the one that supervisor listens to."""
    os.chmod(folder, 0o755)
    binary = shutil.copy(BINARY, f"{folder}/galaxy-lb")
    prefix = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    proxy = proxies(deployment, prefix=prefix, binary=binary, owner=NOBODY)
    before = deployment.pids()
    end = proxy.restarted()
    assert (end["result"], end["exit_status"]) == ("refused", 4), end
    assert all("the process manager refuses" in problem for problem in end["problems"]), end["problems"]
    assert deployment.pids() == before and served(proxy)


# A folder for reports that can't be written to.


def check_goes_on_without_a_report(proxy, deployment):
    new = deployment.deploy()
    watcher = proxy.restart()
    end = watcher.finish()
    assert (end["result"], end["exit_status"], end["report_file"]) == ("completed", 0, None), watcher.story()
    assert any("report could not be kept" in line["text"] for line in watcher.of("message", level="warning"))
    assert any("could not be noted" in line["text"] for line in watcher.of("message", level="warning"))
    assert upstreams_of(end["report"])["main/gunicorn1"]["version_after"] == new


def test_a_state_directory_that_is_a_file(deployment, proxies, folder):
    Path(folder, "state").touch()
    check_goes_on_without_a_report(proxies(deployment, file={"state_directory": f"{folder}/state"}), deployment)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a file system")
def test_a_state_directory_without_space(deployment, proxies, folder):
    Path(folder, "state").mkdir()
    mount = 'mount -t tmpfs -o nr_inodes=1 tmpfs "$0" && exec "$@"'
    prefix = ["unshare", "--mount", "--propagation", "private", "sh", "-c", mount, f"{folder}/state"]
    check_goes_on_without_a_report(
        proxies(deployment, file={"state_directory": f"{folder}/state"}, prefix=prefix), deployment)


# What happens to the proxy, and to those who watch, in each phase.


@pytest.mark.parametrize("phase", Held.PHASES)
def test_the_proxy_is_killed(deployment, proxies, phase):
    """The next one drains nothing, starts what was left stopped, and restarts as if nothing had been."""
    proxy = proxies(deployment, rules=Held.rules(phase))
    held = Held(phase, deployment, proxy)
    proxy = proxies.add(proxy.killed())
    assert proxy.standings() == ["ready", "ready"]
    if phase == "restarting":
        assert stopped_notes(proxy)
    held.release()
    held.close()
    if phase == "restarting":
        eventually(lambda: b"had left a unit stopped; it was started" in proxy.program.log(), "it is started", 30)
    for number in (0, 1):
        eventually(lambda number=number: deployment.answered(number), f"service {number} answers", 30)
    assert not stopped_notes(proxy)
    new = deployment.deploy()
    end = proxy.restarted()
    assert end["result"] == "completed", end
    assert [deployment.answered(number) for number in (0, 1)] == [new, new]


@pytest.mark.parametrize("phase", Held.PHASES)
def test_the_proxy_is_stopped(deployment, proxies, phase):
    """It ends well, and leaves no unit stopped behind."""
    proxy = proxies(deployment, rules=Held.rules(phase))
    held = Held(phase, deployment, proxy)
    proxy.program.send_signal(signal.SIGTERM)
    eventually(lambda: b"NOTICE stopping" in proxy.program.log(), "it stops")
    held.release()
    if phase == "draining":
        assert held.answers() == [200, 200]
    proxy.program.child.wait(40)
    proxy.stop()
    held.close()
    assert not stopped_notes(proxy)
    for number in (0, 1):
        eventually(lambda number=number: deployment.answered(number), f"service {number} answers", 30)
    assert [deployment.state(number) in ("STARTING", "RUNNING") for number in (0, 1)] == [True, True]


@pytest.mark.parametrize("phase", Held.PHASES)
def test_the_watcher_goes_away(deployment, proxies, phase):
    """The restart goes on to its end."""
    proxy = proxies(deployment, rules=Held.rules(phase))
    new = deployment.deploy()
    held = Held(phase, deployment, proxy)
    held.watcher.close()
    held.release()
    report = proxy.last_report()
    held.close()
    assert (report["result"], report["exit_status"]) == ("completed", 0), report
    assert fates_of(report) == ["restarted", "restarted"]
    assert [deployment.answered(number) for number in (0, 1)] == [new, new]


@pytest.mark.parametrize("phase", Held.PHASES)
def test_an_abort(deployment, proxies, phase):
    """What was begun ends well, the rest is left alone, and nothing is left draining."""
    proxy = proxies(deployment, rules=Held.rules(phase))
    before = deployment.pids()
    held = Held(phase, deployment, proxy)
    assert proxy.abort() == {"aborting": True}
    held.release()
    end = held.watcher.finish()
    held.close()
    assert (end["result"], end["exit_status"]) == ("aborted", 5), held.watcher.story()
    first = "untouched" if phase in ("preflight", "draining") else "restarted"
    assert fates_of(end["report"]) == [first, "untouched"]
    assert proxy.standings() == ["ready", "ready"]
    assert deployment.pid(1) == before[1]
    assert (deployment.pid(0) == before[0]) == (first == "untouched")
    assert not stopped_notes(proxy)


def test_an_abort_of_nothing(deployment, proxies):
    proxy = proxies(deployment)
    assert "no restart is in progress" in proxy.abort(expect=409)["error"]


def test_a_second_watcher(deployment, proxies):
    """It is attached, whatever it asks for, and told the same."""
    proxy = proxies(deployment)
    held = Held("draining", deployment, proxy)
    second = proxy.restart(dry_run=True, only=["main/gunicorn1"])
    begun = second.until("begun")
    assert begun["attached"] and begun["run"] == held.watcher.of("begun")[0]["run"] and not begun["dry_run"]
    second.until("phase", phase="draining", upstream="gunicorn0")
    held.release()
    ends = held.watcher.finish(), second.finish()
    held.close()
    assert ends[0] == ends[1] and ends[0]["result"] == "completed"
    assert proxy.control.get("/v1/restart") == {"state": "idle", "last": ends[0]["report"]}
