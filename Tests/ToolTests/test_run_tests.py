"""`tools/run-tests`: what it counts, and what it lets nobody get away with."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools"

# Runs one lane in a process of its own, as the runner adopts orphans and handles signals. The steps come as JSON.
DRIVER = """
import importlib.machinery, importlib.util, json, sys, time
from pathlib import Path
sys.dont_write_bytecode = True
tools, results, seconds, *steps = sys.argv[1:]
sys.path.insert(0, tools)
loader = importlib.machinery.SourceFileLoader("run_tests", tools + "/run-tests")
run_tests = importlib.util.module_from_spec(importlib.util.spec_from_loader("run_tests", loader))
sys.modules["run_tests"] = run_tests
loader.exec_module(run_tests)
run_tests.RESULTS = Path(results)
run_tests.GRACE_SECONDS = 1.0
steps = [json.loads(step) for step in steps]
lane = [run_tests.Step(**step | {"counting": run_tests.Counting[step["counting"]]}) for step in steps]
for step in lane:
    step.log = step.log and Path(step.log)
tally = run_tests.Runner(time.monotonic() + float(seconds)).lane("lane", lane)
print(json.dumps([tally.passed, tally.failed, tally.skipped]))
"""

REPORT = """<testsuites><testsuite>
<testcase name="a"/><testcase name="b"/>
<testcase name="c"><skipped message="not here"/></testcase>
</testsuite></testsuites>"""
FAILURES = """<testsuite>
<testcase name="a"/><testcase name="b"><failure/></testcase><testcase name="c"><error/></testcase>
</testsuite>"""


@pytest.fixture
def lane(tmp_path):
    """Runs steps; returns the numbers passed, failed and skipped, and what was printed."""

    def run(*steps, seconds=60):
        command = [sys.executable, "-c", DRIVER, TOOLS, tmp_path, str(seconds), *map(json.dumps, steps)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert ended.returncode == 0, ended.stderr
        return tuple(json.loads(ended.stdout.splitlines()[-1])), ended.stdout

    return run


def step(script, counting="ONE_TEST", **more):
    """A step that is a shell script."""
    return {"name": "step", "command": ["sh", "-c", script], "seconds": 30, "counting": counting, **more}


def reporting(tmp_path, text, status=0):
    """A step that writes a JUnit report and ends with a status."""
    (tmp_path / "text").write_text(text)
    return step(f"cp {tmp_path}/text {tmp_path}/lane/report.xml; exit {status}", "REPORTS")


@pytest.mark.parametrize("text, status, tally", [
    (REPORT, 0, (2, 0, 1)),
    (FAILURES, 1, (1, 2, 0)),
    # Something beside the tests went wrong.
    (REPORT, 3, (2, 1, 1)),
    # A crash cut the report short.
    (REPORT[:60], 1, (0, 1, 0)),
    (REPORT[:60], 0, (0, 1, 0)),
    ("<testsuites/>", 0, (0, 1, 0)),
])
def test_reports_are_counted(lane, tmp_path, text, status, tally):
    assert lane(reporting(tmp_path, text, status))[0] == tally


def test_a_step_without_the_report_it_owes_has_failed(lane):
    assert lane(step("true", "REPORTS"))[0] == (0, 1, 0)


@pytest.mark.parametrize("script, tally", [("true", (1, 0, 0)), ("exit 3", (0, 1, 0)), ("kill -SEGV $$", (0, 1, 0))])
def test_a_command_is_a_test(lane, script, tally):
    assert lane(step(script))[0] == tally


def test_a_lane_without_tests_has_failed(lane):
    assert lane(step("true", "PREPARATION"))[0] == (0, 1, 0)


def test_a_failed_preparation_ends_its_lane(lane, tmp_path):
    assert lane(step("false", "PREPARATION"), step(f"touch {tmp_path}/reached"))[0] == (0, 1, 0)
    assert not (tmp_path / "reached").exists()


def test_a_step_that_hangs_fails(lane):
    tally, output = lane(step("sleep 600", seconds=1))
    assert tally == (0, 1, 0)
    assert "not ended after 1 s" in output


def test_no_step_starts_after_the_time_for_all(lane, tmp_path):
    assert lane(step(f"touch {tmp_path}/reached"), seconds=0)[0] == (0, 1, 0)
    assert not (tmp_path / "reached").exists()


def test_a_daemon_left_running_is_found_and_ended(lane, tmp_path):
    daemon = f"setsid sh -c 'trap \"\" TERM; echo $$ > {tmp_path}/pid; while :; do sleep 1; done' >/dev/null 2>&1 &"
    tally, output = lane(step(f"{daemon} until [ -s {tmp_path}/pid ]; do :; done"))
    assert tally[0] == 1
    assert tally[1] >= 1
    pid = (tmp_path / "pid").read_text().strip()
    assert f"left running: process {pid}" in output
    assert not Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize("status, shown", [(0, ["line 99"]), (1, [f"line {n}" for n in range(20, 100)])])
def test_a_log_is_shown_when_it_matters(lane, tmp_path, status, shown):
    script = "for n in $(seq 0 99); do echo line $n; done; exit " + str(status)
    output = lane(step(script, log=str(tmp_path / "log")))[1]
    assert [line for line in output.splitlines() if line.startswith("line ")] == shown


def test_a_sanitizer_report_is_a_failure(lane, tmp_path):
    watched = {"complaints": "report*"}
    assert lane(step("true", **watched))[0] == (2, 0, 0)
    tally, output = lane(step(f"echo data race > {tmp_path}/lane/report.1", **watched))
    assert tally == (1, 1, 0)
    assert "data race" in output
