"""The scripts of docs/deploying.md, run with programs that only write down how they were called."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

TREE = Path(__file__).resolve().parents[2]
TEXT = (TREE / "docs" / "deploying.md").read_text(encoding="utf-8")
SCRIPTS = re.findall(r"```bash\n(#!/usr/bin/env bash\n.*?)```\n", TEXT, re.DOTALL)
SECONDS = 60

# One program for all: it writes its name and words into $CALLS, and does what a file of its name and first words says.
PROGRAM = """#!/bin/bash
name=${0##*/}
echo "$name${SUPERVISORD_SOCKET:+ (without supervisor)} $*" >>"$CALLS"
for words in "$*" "$1 $2" "$1"; do
  if [[ -e $ANSWERS/$name.${words// /_} ]]; then . "$ANSWERS/$name.${words// /_}"; exit; fi
done
"""
PROGRAMS = ("curl", "galaxy-lb", "galaxyctl", "git", "make", "manage_db.sh", "pip", "runuser", "ssh", "systemctl")
STATUS = """celery RUNNING pid 1, uptime 0:00:02
gunicorn:gunicorn_0 RUNNING pid 2, uptime 0:00:02
gunicorn:gunicorn_1 RUNNING pid 3, uptime 0:00:02
tusd STARTING
"""


class Place:
    """A folder in the place of /srv/galaxy, and what was called."""

    def __init__(self, folder):
        self.folder = folder
        self.calls_file = folder / "calls"
        (folder / "answers").mkdir()
        (folder / "bin").mkdir()
        (folder / "server").mkdir()
        for name in PROGRAMS:
            path = folder / "bin" / name
            path.write_text(PROGRAM)
            path.chmod(0o755)
        (folder / "server" / "manage_db.sh").symlink_to(folder / "bin" / "manage_db.sh")

    def answer(self, call, script):
        """What a program does when it is called with these words, or with these first ones."""
        program, _, words = call.partition(" ")
        (self.folder / "answers" / f"{program}.{words.replace(' ', '_')}").write_text(script)

    def run(self, name, *arguments):
        """Runs the script of that name; returns its exit status and output."""
        (script,) = [it for it in SCRIPTS if it.splitlines()[1].startswith(f"# {name}")]
        path = self.folder / "script"
        path.write_text(script.replace("/srv/galaxy", str(self.folder)))
        environment = {
            "PATH": f"{self.folder / 'bin'}:/usr/bin:/bin", "CALLS": str(self.calls_file),
            "ANSWERS": str(self.folder / "answers")}
        # The scripts put folders of their own before, in which the programs could really be.
        path.write_text(path.read_text().replace(":/usr/local/bin:$PATH", ":$PATH"))
        ended = subprocess.run(
            ["bash", path, *arguments], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=SECONDS, check=False)
        return ended.returncode, ended.stdout + ended.stderr

    @property
    def calls(self):
        """All calls in their order."""
        return self.calls_file.read_text().splitlines() if self.calls_file.exists() else []


@pytest.fixture
def place(tmp_path):
    """A place of its own."""
    return Place(tmp_path)


DEPLOYS = ["deploy-galaxy RELEASE: brings a release of Galaxy into service, with Gravity's supervisor",
           "deploy-galaxy RELEASE: brings a release of Galaxy into service, with Gravity's units"]
REST = "galaxyctl restart handler celery celery-beat"


def test_every_script_is_found():
    assert len(SCRIPTS) == 5


def test_the_rule_for_polkit_is_the_one_in_conf():
    rule = (TREE / "conf" / "50-galaxy-lb.rules").read_text(encoding="utf-8")
    assert rule[rule.index("polkit.addRule"):] in TEXT


@pytest.mark.parametrize("number", range(5))
def test_shellcheck(tmp_path, number):
    if not shutil.which("shellcheck"):
        pytest.skip("needs shellcheck")
    (tmp_path / "script").write_text(SCRIPTS[number])
    ended = subprocess.run(["shellcheck", tmp_path / "script"], capture_output=True, text=True, timeout=SECONDS)
    assert ended.returncode == 0, ended.stdout


@pytest.mark.parametrize("name", DEPLOYS, ids=["supervisor", "systemd"])
@pytest.mark.parametrize("status", [0, 1, 2, 3, 4, 5])
def test_handlers_are_restarted_only_after_gunicorns(place, name, status):
    place.answer("galaxyctl pm status", f"printf '%s' '{STATUS}'")
    place.answer("galaxy-lb --graceful", f"exit {status}")
    ended, output = place.run(name, "release_26.1")
    assert ended == status, output
    calls = place.calls
    assert calls.index("galaxyctl update") < calls.index("galaxy-lb --graceful")
    assert (calls[-1] == REST) == (status == 0)
    assert not [call for call in calls if "tusd" in call or re.match(r"galaxyctl (graceful|restart$)", call)]


@pytest.mark.parametrize("name", DEPLOYS, ids=["supervisor", "systemd"])
@pytest.mark.parametrize("step", ["git fetch", "pip install", "make client-production", "galaxyctl update"])
def test_a_failed_step_ends_a_deploy(place, name, step):
    place.answer(step, "exit 1")
    place.answer("runuser -u", 'shift 3; exec "$@"')
    assert place.run(name, "release_26.1")[0] != 0
    assert not [call for call in place.calls if call.startswith("galaxy-lb")]


def test_an_update_that_would_stop_the_gunicorns_is_not_made(place):
    place.answer("galaxyctl pm status", f"printf '%s' '{STATUS}'; exit 3")
    place.answer("galaxyctl pm reread", "echo 'gunicorn: changed'")
    ended, output = place.run(DEPLOYS[0], "release_26.1")
    assert ended == 6 and "gunicorn" in output
    assert "galaxyctl update" not in place.calls
    assert "galaxyctl (without supervisor) update" in place.calls


def test_an_update_of_others_is_made(place):
    place.answer("galaxyctl pm status", f"printf '%s' '{STATUS}'")
    place.answer("galaxyctl pm reread", "echo 'handler: changed'; echo 'celery: available'")
    assert place.run(DEPLOYS[0], "release_26.1")[0] == 0
    assert "galaxyctl update" in place.calls


def test_gunicorns_whose_units_went_away_are_started_again(place):
    for words in ("list-units --plain", "--user list-units"):
        place.answer(f"systemctl {words}", "echo 'galaxy-gunicorn@0.service loaded active running Galaxy'")
    for words in ("--quiet is-active", "--user --quiet"):
        place.answer(f"systemctl {words}", "exit 3")
    ended, output = place.run(DEPLOYS[1], "release_26.1")
    assert ended == 6 and "galaxy-gunicorn@0.service" in output
    assert "galaxyctl start" in place.calls
    assert "galaxy-lb --graceful" not in place.calls


def test_a_migration_happens_between_stop_and_start(place):
    ended, output = place.run("migrate-galaxy", "release_26.1")
    assert ended == 0, output
    calls = place.calls
    order = [calls.index(call) for call in (
        "galaxyctl stop gunicorn handler celery celery-beat", "manage_db.sh upgrade", "galaxyctl update",
        "galaxyctl start gunicorn", "galaxy-lb --ready all", "galaxyctl start handler celery celery-beat")]
    assert order == sorted(order)
    (maintenance,) = [number for number, call in enumerate(calls) if call.startswith("galaxy-lb --maintenance all")]
    assert maintenance < order[0]


def test_a_failed_migration_leaves_the_reason_up(place):
    place.answer("manage_db.sh upgrade", "exit 1")
    assert place.run("migrate-galaxy", "release_26.1")[0] != 0
    assert "galaxy-lb --ready all" not in place.calls
    assert not [call for call in place.calls if call.startswith("galaxyctl start")]


def test_several_proxies_are_told_before_and_after(place):
    place.answer("galaxy-lb --graceful", '[[ $* != *gunicorn1* ]] || exit 1')
    ended, output = place.run("restart-behind-several")
    assert ended == 1, output
    proxy = "ssh -n proxy2.example.org galaxy-lb"
    assert place.calls == [
        f"{proxy} --drain gunicorn0 --wait --timeout 10m", "galaxy-lb --graceful --only gunicorn0",
        f"{proxy} --ready gunicorn0", f"{proxy} --drain gunicorn1 --wait --timeout 10m",
        "galaxy-lb --graceful --only gunicorn1"]


def test_each_gunicorn_is_updated_when_it_is_drained(place):
    ended, output = place.run("update-gunicorns")
    assert ended == 0, output
    calls = [call for call in place.calls if not call.startswith("curl")]
    assert calls[1:4] == [
        "galaxy-lb --drain gunicorn0 --wait --timeout 5m", "galaxyctl pm update gunicorn0",
        "galaxy-lb --ready gunicorn0"]
    assert calls[-1] == "galaxyctl update" and os.path.basename(calls[0]) == "galaxyctl (without supervisor) update"
