"""The driver for systemd, against a real systemd in user mode with services that behave and misbehave.

It runs in a mount namespace of its own, where /run/systemd says that systemd runs on this machine, whatever the machine
says; its units and sockets are in a folder of the test.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from harness.files import replace
from managers.probe import SECONDS, Probe, end, is_running, wait_until

SYSTEMD = Path("/lib/systemd/systemd")

pytestmark = [
    pytest.mark.galaxy_lb,
    pytest.mark.timeout(3 * SECONDS),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a mount namespace"),
]

START = """
set -e
mount -t tmpfs tmpfs /run/systemd
mkdir /run/systemd/system
exec "$0" --user
"""

UNITS = {
    "galaxy-gunicorn@.service": """
[Unit]
StartLimitIntervalSec=0
[Service]
ExecStart=/bin/sh {folder}/program-%i
Restart=always
RestartSec=100ms
""",
    "often.service": """
[Unit]
StartLimitIntervalSec=1000
StartLimitBurst=3
[Service]
ExecStart=/bin/sh -c 'sleep 0.2; exit 3'
Restart=always
RestartSec=100ms
""",
    "limited.service": """
[Unit]
StartLimitIntervalSec=1000
StartLimitBurst=2
[Service]
ExecStart=/bin/sleep 1000
""",
    "missing.service": """
[Service]
ExecStart={folder}/no-such-program
""",
    "silent.service": """
[Service]
Type=notify
ExecStart=/bin/sleep 1000
TimeoutStartSec=500ms
""",
    "stubborn.service": """
[Service]
ExecStart=/bin/sh -c 'trap "" TERM; touch {folder}/trapped; while :; do sleep 0.05; done'
TimeoutStopSec=1s
""",
    "once.service": """
[Service]
ExecStart=/bin/true
""",
    "follower.service": """
[Unit]
PartOf=galaxy-gunicorn@1.service
[Service]
ExecStart=/bin/sleep 1000
""",
    "strange.service": """
[Service]
Type=strange
""",
}
GOOD = "exec sleep 1000\n"
BROKEN = "sleep 0.1; exit 7\n"


class Systemd:
    """A systemd --user of its own."""

    def __init__(self, folder: Path) -> None:
        """Starts it, and waits until it answers."""
        self.folder = folder
        self.units = folder / "home" / ".config" / "systemd" / "user"
        self.units.mkdir(parents=True)
        runtime = folder / "run"
        runtime.mkdir(mode=0o700)
        for name, text in UNITS.items():
            (self.units / name).write_text(text.format(folder=folder))
        for number in (0, 1):
            self.write_program(number, GOOD)
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder / "home"),
            "XDG_RUNTIME_DIR": str(runtime),
        }
        self.process = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", START, SYSTEMD],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
        )
        enter = ("nsenter", f"--target={self.process.pid}", "--mount")
        self.probe = Probe("systemd:user", enter, env=self.environment)
        wait_until((runtime / "systemd" / "private").is_socket, "the socket of systemd")
        wait_until(lambda: self.process.poll() is not None or "access" in self.probe("access"), "systemd")

    def write_program(self, number: int, text: str) -> None:
        """What the gunicorn of this number runs from its next start on."""
        replace(self.folder / f"program-{number}", text)

    def start(self, unit: str) -> dict:
        """Starts a unit, and waits until it runs."""
        assert self.probe("start", unit) == {"output": ""}
        return self.probe.until(unit, lambda it: it["state"] == "running")

    def end(self) -> None:
        """Ends it with its services."""
        end(self.process)


@pytest.fixture(scope="module")
def systemd():
    """A running systemd. Each test has units of its own."""
    folder = Path(tempfile.mkdtemp(prefix="systemd-"))
    running = Systemd(folder)
    yield running
    running.end()
    shutil.rmtree(folder)


def test_access_says_its_version(systemd):
    version = subprocess.run([SYSTEMD, "--version"], capture_output=True, text=True, timeout=SECONDS).stdout.split()[1]
    assert systemd.probe("access")["access"].startswith(f"the user's systemd {version}")


def test_a_restart_is_of_exactly_one_instance(systemd):
    old, other = (systemd.start(f"galaxy-gunicorn@{number}.service") for number in (0, 1))
    assert is_running(old["process"])
    new = systemd.probe("walk", "galaxy-gunicorn@0.service")
    assert new["verdict"] == "started", new
    assert new["process"] != old["process"] and new["run"] != old["run"]
    assert is_running(new["process"]) and not is_running(old["process"])
    assert systemd.probe("inspect", "galaxy-gunicorn@1.service")["process"] == other["process"]


def test_broken_code_is_noticed_though_it_starts_again_and_again(systemd):
    unit = "galaxy-gunicorn@0.service"
    systemd.start(unit)
    systemd.write_program(0, BROKEN)
    assert systemd.probe("restart", unit) == {"output": ""}
    systemd.probe.until(unit, lambda it: it["restarts"] >= 2)
    # Code that is mended while it fails: the deaths of before are no sign against it.
    systemd.write_program(0, GOOD)
    mended = systemd.probe.until(unit, lambda it: it["state"] == "running" and it["seconds"] >= 1)
    assert mended["restarts"] >= 2
    new = systemd.probe("walk", unit)
    assert new["verdict"] == "started" and new["restarts"] == 0


def test_a_walk_with_broken_code_ends_early(systemd):
    unit = "galaxy-gunicorn@0.service"
    systemd.write_program(0, GOOD)
    systemd.start(unit)
    systemd.write_program(0, "exit 7\n")
    report = systemd.probe("walk", unit)
    # `started` is what systemd says of a program that was forked; that it died is then seen as another run.
    if report["verdict"] == "started":
        report = systemd.probe.until(unit, lambda it: it["restarts"] > 0)
        assert report["run"] != ""
    else:
        assert report["verdict"] == "retrying" and "exit status 7" in report["description"], report
    systemd.write_program(0, GOOD)


def test_what_failed_before_is_restarted_with_mended_code(systemd):
    unit = "galaxy-gunicorn@0.service"
    systemd.write_program(0, "exit 7\n")
    assert systemd.probe("start", unit) == {"output": ""}
    systemd.probe("restart", unit)
    systemd.probe.until(unit, lambda it: it["state"] == "failing")
    systemd.write_program(0, GOOD)
    report = systemd.probe("walk", unit)
    assert report["verdict"] == "started" and is_running(report["process"]), report


def test_too_many_starts_are_a_failure(systemd):
    assert systemd.probe("start", "often") == {"output": ""}
    failed = systemd.probe.until("often", lambda it: it["state"] == "fatal")
    assert "exit status 3" in failed["description"] and failed["restarts"] >= 1
    # From now on systemd starts it no more, and says so to nobody: the order is dropped.
    report = systemd.probe("walk", "often.service")
    assert report["verdict"] == "failed", report


def test_a_running_service_that_was_started_too_often(systemd):
    systemd.start("limited")
    assert systemd.probe("restart", "limited") == {"output": ""}
    systemd.probe.until("limited", lambda it: it["state"] == "running")
    # The third one stops it, and is not allowed to start it.
    report = systemd.probe("walk", "limited")
    assert report["verdict"] == "failed" and "start-limit-hit" in report["reason"], report
    assert any("reset-failed" in warning for warning in report["warnings"]), report


def test_a_program_that_is_missing(systemd):
    report = systemd.probe("walk", "missing.service")
    if report["verdict"] == "started":
        report = systemd.probe.until("missing.service", lambda it: it["state"] == "fatal")
    assert "exit status 203" in report["description"], report


def test_a_service_that_never_gets_ready(systemd):
    assert systemd.probe("start", "silent") == {"output": ""}
    assert systemd.probe("inspect", "silent")["state"] in ("starting", "stopping", "fatal")
    failed = systemd.probe.until("silent", lambda it: it["state"] == "fatal")
    assert "result timeout" in failed["description"]


def test_orders_do_not_wait(systemd):
    old = systemd.start("stubborn.service")
    wait_until((systemd.folder / "trapped").exists, "the trap")
    assert systemd.probe("restart", "stubborn") == {"output": ""}
    seen = systemd.probe("inspect", "stubborn")
    assert seen["state"] == "stopping" and seen["process"] == old["process"]
    systemd.probe.until("stubborn", lambda it: it["state"] == "running" and it["run"] != old["run"])
    assert systemd.probe("stop", "stubborn") == {"output": ""}
    systemd.probe.until("stubborn", lambda it: it["state"] in ("stopped", "fatal"))


def test_a_service_that_ends_by_itself(systemd):
    report = systemd.probe("walk", "once")
    if report["verdict"] == "started":
        report = systemd.probe.until("once", lambda it: it["state"] == "stopped")
    else:
        assert report["verdict"] == "failed"
    assert report["state"] == "stopped"


def test_unknown_units(systemd):
    status = systemd.probe("inspect", "galaxy-nothing.service")
    assert status["state"] == "missing" and "galaxy-nothing.service" in status["description"]
    for step in ("restart", "start", "stop"):
        report = systemd.probe(step, "galaxy-nothing.service")
        assert report["error"] == "unknownUnit", report


def test_names_of_several_units_are_refused(systemd):
    for unit in ("galaxy-*", "galaxy-gunicorn@.service", "default.target"):
        assert systemd.probe("restart", unit)["error"] == "badName"


def test_what_else_would_be_restarted_is_told(systemd):
    systemd.start("follower")
    status = systemd.start("galaxy-gunicorn@1.service")
    assert any("follower.service" in warning for warning in status["warnings"]), status


def test_a_unit_file_that_changed_is_told(systemd):
    # One that runs: of others systemd reads the file anew each time.
    systemd.start("follower")
    unit = systemd.units / "follower.service"
    status = unit.stat()
    unit.write_text(UNITS["follower.service"] + "Environment=CHANGED=1\n")
    # A time that systemd can tell from the one when it read the file.
    os.utime(unit, (status.st_atime + 10, status.st_mtime + 10))
    warnings = systemd.probe("inspect", "follower")["warnings"]
    assert any("daemon-reload" in warning for warning in warnings), warnings


def test_units_that_can_not_be_started(systemd):
    strange = systemd.probe("inspect", "strange")
    assert any("strange.service" in warning for warning in strange["warnings"]), strange
    (systemd.units / "masked.service").symlink_to("/dev/null")
    masked = systemd.probe("inspect", "masked")
    assert any("unmask" in warning for warning in masked["warnings"]), masked
    assert systemd.probe("restart", "masked")["error"] == "refused"


def test_no_descriptor_is_left_open(systemd):
    before, after = systemd.probe("descriptors", "once")["descriptors"]
    assert after == before


def test_no_systemd_of_this_user(systemd):
    elsewhere = Probe("systemd:user", env=systemd.environment | {"XDG_RUNTIME_DIR": "/nowhere"})
    report = elsewhere("access")
    assert report["error"] == "unreachable" and "/nowhere" in report["advice"]
