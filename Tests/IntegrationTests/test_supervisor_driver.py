"""The driver for supervisor, against the real supervisord and programs that behave and misbehave."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from managers.probe import SECONDS, Probe, end, is_running, probe_path, wait_until

SUPERVISORD = Path(sys.executable).parent / "supervisord"

pytestmark = [pytest.mark.galaxy_lb, pytest.mark.timeout(3 * SECONDS)]

CONFIGURATION = """
[unix_http_server]
file = {folder}/supervisor.sock
[inet_http_server]
port = 127.0.0.1:{port}
[supervisord]
logfile = {folder}/supervisord.log
pidfile = {folder}/supervisord.pid
childlogdir = {folder}
nodaemon = true
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[program:steady]
command = sleep 1000
startsecs = 1
[program:gunicorn]
command = sleep 1000
numprocs = 2
process_name = %(program_name)s_%(process_num)d
startsecs = 0
; A supervisord ends its groups one after the other, a second each.
[group:odd]
programs = missing,text,dies,later,once,stubborn
[program:missing]
command = {folder}/no-such-program
autostart = false
[program:text]
command = {folder}/supervisord.conf
autostart = false
[program:dies]
command = sh -c 'exit 3'
startsecs = 1
startretries = 1
autostart = false
[program:later]
command = sh -c 'sleep 0.3; exit 5'
startsecs = 0
autorestart = true
autostart = false
[program:once]
command = sh -c 'exit 4'
startsecs = 0
autorestart = false
autostart = false
[program:stubborn]
command = sh -c 'trap "" TERM; touch {folder}/trapped; while :; do sleep 0.05; done'
startsecs = 0
stopwaitsecs = 1
killasgroup = true
autostart = false
"""


class Supervisor:
    """A supervisord in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        """Starts it, and waits until it answers."""
        self.folder = folder
        self.socket = folder / "supervisor.sock"
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        configuration = folder / "supervisord.conf"
        configuration.write_text(CONFIGURATION.format(folder=folder, port=self.port))
        self.process = subprocess.Popen(
            [SUPERVISORD, "-c", configuration],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
        )
        self.probe = Probe(f"supervisor:unix:{self.socket}")
        wait_until(lambda: self.process.poll() is not None or "access" in self.probe("access"), "supervisord")

    def end(self) -> None:
        """Ends it with its programs."""
        end(self.process)


@pytest.fixture
def folder():
    """A folder whose path is short enough for a socket, and that others may look into."""
    path = Path(tempfile.mkdtemp(prefix="supervisor-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def supervisor(folder):
    """A running supervisord."""
    running = Supervisor(folder)
    yield running
    running.end()


def test_access_says_its_version(supervisor):
    version = subprocess.run([SUPERVISORD, "--version"], capture_output=True, text=True, timeout=SECONDS).stdout.strip()
    report = supervisor.probe("access")
    assert report == {"access": f"supervisor {version} at unix:{supervisor.socket}", "doubts": []}
    network = Probe(f"supervisor:127.0.0.1:{supervisor.port}")("access")
    assert network["access"] == f"supervisor {version} at 127.0.0.1:{supervisor.port}"


def test_a_restart_is_of_exactly_one_program(supervisor):
    others = ("steady", "gunicorn:gunicorn_0")
    before = {name: supervisor.probe.until(name, lambda it: it["state"] == "running")["process"] for name in others}
    old = supervisor.probe("inspect", "gunicorn:gunicorn_1")
    assert old["state"] == "running" and is_running(old["process"])

    new = supervisor.probe("walk", "gunicorn:gunicorn_1")
    assert new["verdict"] == "started"
    assert new["process"] != old["process"] and new["run"] != old["run"]
    assert is_running(new["process"]) and not is_running(old["process"])
    assert {name: supervisor.probe("inspect", name)["process"] for name in others} == before


def test_steps_do_not_wait_and_may_be_repeated(supervisor):
    supervisor.probe.until("steady", lambda it: it["state"] == "running")
    assert supervisor.probe("stop", "steady") == {"output": ""}
    stopped = supervisor.probe.until("steady", lambda it: it["state"] == "stopped")
    assert "process" not in stopped and "STOPPED" in stopped["description"]
    assert supervisor.probe("stop", "steady") == {"output": ""}
    assert supervisor.probe("start", "steady") == {"output": ""}
    # Its startsecs are not over.
    assert supervisor.probe("inspect", "steady")["state"] == "starting"
    assert supervisor.probe("start", "steady") == {"output": ""}


def test_what_is_still_stopping_is_not_started(supervisor):
    supervisor.probe("start", "odd:stubborn")
    wait_until((supervisor.folder / "trapped").exists, "the trap")
    assert supervisor.probe("stop", "odd:stubborn") == {"output": ""}
    assert supervisor.probe("inspect", "odd:stubborn")["state"] == "stopping"
    assert supervisor.probe("start", "odd:stubborn")["error"] == "wrongState"
    supervisor.probe.until("odd:stubborn", lambda it: it["state"] == "stopped")
    assert supervisor.probe("start", "odd:stubborn") == {"output": ""}


@pytest.mark.parametrize("program, reason", [("odd:missing", "no-such-program"), ("odd:text", "supervisord.conf")])
def test_what_can_not_be_executed(supervisor, program, reason):
    report = supervisor.probe("start", program)
    assert report["error"] == "startFailed"
    assert reason in report["message"] and "galaxyctl update" in report["advice"]


def test_a_program_that_dies_at_once_is_noticed(supervisor):
    report = supervisor.probe("walk", "odd:dies")
    # supervisor says so in its answer to the start if the program has died by then.
    if report.get("error") == "startFailed":
        assert "did not start" in report["message"], report
    else:
        assert report["verdict"] == "retrying", report
        assert "Exited too quickly" in report["reason"]
    given_up = supervisor.probe.until("odd:dies", lambda it: it["state"] == "fatal")
    assert "FATAL" in given_up["description"]


def test_a_program_that_exits_later_is_another_run(supervisor):
    assert supervisor.probe("walk", "odd:later")["verdict"] == "started"
    run = supervisor.probe.until("odd:later", lambda it: "run" in it)["run"]
    supervisor.probe.until("odd:later", lambda it: it.get("run") not in (None, run))


def test_a_program_that_exits_for_good_is_stopped(supervisor):
    supervisor.probe("start", "odd:once")
    status = supervisor.probe.until("odd:once", lambda it: it["state"] == "stopped" and "EXITED" in it["description"])
    assert "status 4" in status["description"]


def test_unknown_programs_are_named_with_the_nearest(supervisor):
    missing = supervisor.probe("inspect", "stedy")
    assert missing["state"] == "missing" and "did you mean 'steady'?" in missing["description"]
    for step in ("stop", "start"):
        report = supervisor.probe(step, "gunicorn:gunicorn0")
        assert report["error"] == "unknownUnit" and "'gunicorn:gunicorn_0'" in report["message"]


def test_groups_are_refused(supervisor):
    before = [supervisor.probe("inspect", f"gunicorn:gunicorn_{number}")["process"] for number in (0, 1)]
    for unit in ("gunicorn:*", "gunicorn:", "*"):
        assert supervisor.probe("stop", unit)["error"] == "badName"
    assert [supervisor.probe("inspect", f"gunicorn:gunicorn_{number}")["process"] for number in (0, 1)] == before


def test_a_supervisor_that_hangs_is_bounded(supervisor):
    os.kill(supervisor.process.pid, signal.SIGSTOP)
    try:
        report = supervisor.probe("access", seconds=0.3)
        assert report["error"] == "timedOut" and "hangs" in report["advice"]
    finally:
        os.kill(supervisor.process.pid, signal.SIGCONT)
    assert "access" in supervisor.probe("access")


def test_a_supervisor_that_is_gone(supervisor):
    supervisor.end()
    report = supervisor.probe("access")
    assert report["error"] == "unreachable" and "galaxyctl start" in report["advice"]


def test_a_supervisor_that_was_killed_leaves_its_socket(folder):
    running = Supervisor(folder)
    programs = [
        running.probe.until(name, lambda it: it["state"] == "running")["process"]
        for name in ("steady", "gunicorn:gunicorn_0", "gunicorn:gunicorn_1")
    ]
    running.process.kill()
    running.process.wait(SECONDS)
    try:
        assert running.socket.exists()
        report = running.probe("inspect", "steady")
        assert report["error"] == "unreachable" and "nobody listens" in report["message"]
    finally:
        # Its programs live on without it.
        for process in programs:
            os.kill(process, signal.SIGKILL)
        wait_until(lambda: not any(map(is_running, programs)), "the programs' end")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_another_user_may_not(supervisor, folder):
    copy = shutil.copy(probe_path(), folder / "probe")
    environment = os.environ | {"PROCESS_MANAGER_PROBE": str(copy)}
    command = [copy, f"supervisor:unix:{supervisor.socket}", "access", "", "10"]
    run = subprocess.run(
        command, user=65534, group=65534, extra_groups=[], env=environment, cwd="/", capture_output=True, text=True,
        timeout=SECONDS
    )
    assert '"error":"permissionDenied"' in run.stdout, run.stdout + run.stderr
    assert f"user {os.geteuid()} " in run.stdout


def test_no_descriptor_is_left_open(supervisor):
    before, after = supervisor.probe("descriptors", "steady")["descriptors"]
    assert after == before
