"""`--graceful` and `--abort` as clients: what they ask, show and answer, against a scripted control socket."""

import json
import os
import signal
import subprocess
import threading

import pytest
from harness.control import BINARY, command
from harness.screen import OnTerminal
from harness.scripted_control import ScriptedControl
from harness.stream import eventually

PATIENCE = 30


@pytest.fixture(autouse=True)
def only_galaxy_lb(proxy_kind):
    if proxy_kind.name != "galaxy-lb":
        pytest.skip("about galaxy-lb's own commands")


@pytest.fixture
def control(folder):
    control = ScriptedControl(folder)
    yield control
    control.close()
    assert control.errors == []


def variables(**more):
    found = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **more}
    for name in ("ASAN_OPTIONS", "TSAN_OPTIONS", "LD_LIBRARY_PATH"):
        if name in os.environ:
            found[name] = os.environ[name]
    return found


@pytest.fixture
def on_terminal(control):
    """Starts the command on a terminal of its own."""
    started = []

    def start(*arguments, columns=80, rows=24, **environment):
        words = [BINARY, "--control", control.path, "--graceful", *arguments]
        started.append(OnTerminal(words, variables(**{"TERM": "xterm"} | environment), columns, rows))
        return started[-1]

    yield start
    for program in started:
        program.close()


@pytest.fixture
def on_pipe(control):
    """Starts the command with pipes for its output."""
    started = []

    def start(*arguments, prefix=()):
        words = [*prefix, BINARY, "--control", control.path, "--graceful", *arguments]
        started.append(subprocess.Popen(words, env=variables(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for program in started:
        if program.poll() is None:
            program.kill()
        program.communicate(timeout=10)


# MARK: what is played

def begin(stream, upstreams=("gunicorn0", "gunicorn1"), attached=False, dry_run=False):
    entries = [{"name": name, "manager": "supervisor", "unit": f"main:{name}"} for name in upstreams]
    stream.line("begun", run="2026-11-20T12:00:00.000Z", attached=attached, dry_run=dry_run, pools=[
        {"pool": "main", "approach": "the other upstreams serve while one is restarted", "upstreams": entries}])
    for name in upstreams:
        stream.line("preflight", pool="main", upstream=name, unit="running", answers=True,
                    version_running="24.1.2", version_on_disk="24.1.3", notes=[])
    for name in upstreams:
        phase(stream, name, "waiting", timeout=None)


def phase(stream, upstream, phase, event="phase", elapsed=0.0, timeout=120.0, in_flight=0, **more):
    stream.line(event, pool="main", upstream=upstream, phase=phase, elapsed=elapsed, timeout=timeout,
                in_flight={"total": in_flight, "ordinary": in_flight, "upload": 0}, **more)


def restarted(name, **more):
    return {"name": name, "unit": f"main:{name}", "manager": "supervisor", "fate": "restarted", "reason": None,
            "drain_time": 1.23, "waited_for": {"total": 3, "ordinary": 3}, "cut": {"total": 0},
            "left_over": {"total": 0}, "drains_undone": 0, "restart_time": 2.0, "readiness_time": 65.0,
            "probation_time": None, "version_before": "24.1.2", "version_after": "24.1.3", "foreign_restarts": 0,
            "failed_requests": 0, "failures": [], "output": ""} | more


def finish(stream, result="completed", exit_status=0, upstreams=None, message="both upstreams run the new code",
           problems=(), report_file="/var/lib/galaxy-lb/restart-1.txt"):
    report = {"run": "2026-11-20T12:00:00.000Z", "began": "2026-11-20T12:00:00.000Z",
              "ended": "2026-11-20T12:01:40.500Z", "result": result, "exit_status": exit_status, "message": message,
              "problems": list(problems), "downtime": 0.0, "longest_hold": 0.25, "hooks": [],
              "pools": [{"pool": "main", "approach": "the other upstreams serve while one is restarted",
                         "upstreams": upstreams or [restarted("gunicorn0"), restarted("gunicorn1")]}]}
    stream.line("finished", result=result, exit_status=exit_status, message=message, problems=list(problems),
                report_file=report_file, report=report)


def walk(stream):
    """A restart that goes well."""
    begin(stream)
    stream.line("hook", hook="before", ok=True, output="migrating\n\x1b[31mdone\n")
    for name in ("gunicorn0", "gunicorn1"):
        phase(stream, name, "draining", in_flight=3)
        phase(stream, name, "draining", "progress", elapsed=1.0, in_flight=1)
        phase(stream, name, "restarting", timeout=300.0)
        phase(stream, name, "awaiting_readiness", timeout=None)
        phase(stream, name, "completed", timeout=None)
    stream.line("message", level="warning", text="the report of the last restart is gone")
    stream.line("an_event_of_the_future", anything=[1, 2])
    finish(stream)


SUMMARY = """\
UPSTREAM        RESULT     DRAIN  RESTART    READY  VERSION           CUT  FAIL
main/gunicorn0  restarted   1.2s       2s  1min 5s  24.1.2 -> 24.1.3    0     0
main/gunicorn1  restarted   1.2s       2s  1min 5s  24.1.2 -> 24.1.3    0     0

completed: 2 restarted in 1min 40s
requests: 0 failed, 0 cut; downtime 0s, longest hold 0.3s
both upstreams run the new code
report: /var/lib/galaxy-lb/restart-1.txt
"""


# MARK: pipes

def test_plain_lines_tell_each_change(control):
    control.play(walk)
    result = command("--control", control.path, "--graceful")
    assert result.stderr == "" and result.returncode == 0
    begun = "main: 2 upstreams: the other upstreams serve while one is restarted\n"
    assert result.stdout == begun + """\
main/gunicorn0: preflight: supervisor main:gunicorn0 running, answers, runs 24.1.2, 24.1.3 on disk
main/gunicorn1: preflight: supervisor main:gunicorn1 running, answers, runs 24.1.2, 24.1.3 on disk
hook before: done
hook before: | migrating
hook before: | [31mdone
main/gunicorn0: draining, 3 in flight (3 ordinary), at most 2min
main/gunicorn0: restarting, at most 5min
main/gunicorn0: awaiting readiness
main/gunicorn0: completed
main/gunicorn1: draining, 3 in flight (3 ordinary), at most 2min
main/gunicorn1: restarting, at most 5min
main/gunicorn1: awaiting readiness
main/gunicorn1: completed
warning: the report of the last restart is gone
""" + SUMMARY
    assert control.restarts() == [{}]


def test_lines_come_as_they_are_told(control, on_pipe):
    """Nothing waits in a buffer of the client."""
    gate = threading.Event()

    def script(stream):
        begin(stream)
        assert gate.wait(PATIENCE)
        finish(stream)

    control.play(script)
    program = on_pipe()
    assert program.stdout.readline().startswith("main: 2 upstreams: ")
    gate.set()
    output, _ = program.communicate(timeout=PATIENCE)
    assert program.returncode == 0 and output.endswith(SUMMARY)


def test_options_are_asked_for(control):
    control.play(finish)
    result = command("--control", control.path, "--graceful", "--only", "gunicorn1", "--only", "main/gunicorn1",
                     "--max-unavailable", "50%", "--start-if-stopped", "--allow-version-skew", "--dry-run")
    assert result.returncode == 0, result.stderr
    assert control.restarts() == [{"only": ["main/gunicorn1"], "max_unavailable": "50%", "start_if_stopped": True,
                                   "allow_version_skew": True, "dry_run": True}]
    result = command("--control", control.path, "--graceful", "--only", "main", "--max-unavailable=2")
    assert result.returncode == 0, result.stderr
    assert control.restarts()[1] == {"only": ["main/gunicorn0", "main/gunicorn1"], "max_unavailable": 2}


def test_a_name_that_is_none(control):
    result = command("--control", control.path, "--graceful", "--only", "gunicorn3", "--only", "x", "--only", "main")
    assert result.returncode == 2 and control.restarts() == []
    assert "option --only: no upstream and no pool is called 'gunicorn3' (did you mean 'gunicorn0'?)" in result.stderr
    assert "is called 'x'" in result.stderr


@pytest.mark.parametrize("arguments, message", [
    (["--graceful", "--max-unavailable", "0"], "option --max-unavailable: error: expected a number of upstreams"),
    (["--dry-run"], "option --dry-run: error: only together with --graceful"),
    (["--graceful", "--onyl", "a"], "unknown option '--onyl' (did you mean '--only'?)"),
    (["--abort", "--json"], "option --json: error: does not go with --abort"),
])
def test_mistakes(arguments, message):
    result = command(*arguments)
    assert result.returncode == 2 and message in result.stderr


def test_json_is_what_the_proxy_says(control):
    lines = ['{"event":"begun",  "pools":[], "new": {"a": 1.50}}', '{"event":"what","ever":"\\u00e9 \\u001b"}',
             '{"event":"finished","result":"aborted","exit_status":5,"message":"stopped","problems":["p"]}']

    def script(stream):
        # However they come.
        text = "\n".join(lines) + "\n"
        for start in range(0, len(text), 7):
            stream.raw(text[start:start + 7])

    control.play(script)
    result = command("--control", control.path, "--graceful", "--json")
    assert result.stdout.splitlines() == lines
    assert result.returncode == 5 and result.stderr == ""


@pytest.mark.parametrize("result, status", [
    ("completed", 0), ("rehearsed", 0), ("completed", 1), ("halted", 1), ("refused", 4), ("aborted", 5)])
def test_exit_statuses(control, result, status):
    control.play(lambda stream: finish(stream, result, status, message="so it ended"))
    outcome = command("--control", control.path, "--graceful")
    assert outcome.returncode == status
    assert ("so it ended" in outcome.stdout) == (status == 0)
    assert outcome.stderr == ("galaxy-lb: so it ended\n" if status else "")


def test_a_refusal_says_what_to_do(control):
    problems = ["main/gunicorn0: supervisor can't be reached: start it, or name its socket in service",
                "main/gunicorn1 does not answer: --start-if-stopped starts it first"]

    def script(stream):
        begin(stream)
        untouched = [restarted(name, fate="untouched") for name in ("gunicorn0", "gunicorn1")]
        finish(stream, "refused", 4, untouched, "nothing was touched", problems, None)

    control.play(script)
    result = command("--control", control.path, "--graceful")
    assert result.returncode == 4
    assert result.stderr.splitlines() == [f"galaxy-lb: {line}" for line in [*problems, "nothing was touched"]]
    assert "RESULT" not in result.stdout and "report:" not in result.stdout


def test_a_halt_says_what_happened(control):
    def script(stream):
        begin(stream)
        phase(stream, "gunicorn0", "failed", reason="it exited with status 1\nbefore it answered")
        failed = restarted("gunicorn0", fate="failed", reason="it exited with status 1", readiness_time=None,
                           version_after=None, output="Traceback:\n  no module\n", failed_requests=3,
                           failures=[{"request": "GET /x", "reason": "upstream_unreachable"}],
                           cut={"total": 2, "tunnel": 2}, left_over={"total": 1, "upload": 1}, foreign_restarts=2)
        untouched = restarted("gunicorn1", fate="untouched", drain_time=None, restart_time=None, readiness_time=None,
                              version_after=None, drains_undone=1)
        finish(stream, "halted", 1, [failed, untouched], "main/gunicorn0 failed, main/gunicorn1 serves the old code")

    control.play(script)
    result = command("--control", control.path, "--graceful")
    assert result.returncode == 1
    assert "main/gunicorn0: failed: it exited with status 1 before it answered\n" in result.stdout
    assert result.stdout.endswith("""\
UPSTREAM        RESULT     DRAIN  RESTART  READY  VERSION  CUT  FAIL
main/gunicorn0  failed      1.2s       2s      -  24.1.2     2     3
main/gunicorn1  untouched      -        -      -  24.1.2     0     0

main/gunicorn0: failed: it exited with status 1
main/gunicorn0: | Traceback:
main/gunicorn0: |   no module
main/gunicorn0: 2 cut (2 tunnel)
main/gunicorn0: 1 still in flight at the restart (1 upload)
main/gunicorn0: restarted 2 times by something else
main/gunicorn0: failed request: GET /x: upstream_unreachable
main/gunicorn0: failed requests: and 2 more
main/gunicorn1: its drain was undone once
halted: 0 restarted, 1 failed, 1 untouched in 1min 40s
requests: 3 failed, 2 cut; downtime 0s, longest hold 0.3s
report: /var/lib/galaxy-lb/restart-1.txt
""")
    assert result.stderr == "galaxy-lb: main/gunicorn0 failed, main/gunicorn1 serves the old code\n"


@pytest.mark.parametrize("status, arguments, expected", [
    (400, [], 2), (404, ["--only", "gunicorn0"], 2), (404, [], 1), (409, [], 1), (403, [], 1)])
def test_refused_requests(control, status, arguments, expected):
    control.answers["POST", "/v1/restart"] = (status, {"error": "because"})
    result = command("--control", control.path, "--graceful", *arguments)
    assert result.returncode == expected and result.stderr == "galaxy-lb: because\n" and result.stdout == ""


@pytest.mark.parametrize("how", ["cut", "ended"])
def test_a_proxy_that_dies_in_the_middle(control, how):
    def script(stream):
        begin(stream)
        phase(stream, "gunicorn0", "restarting")
        if how == "cut":
            stream.raw('{"event":"pha')
            stream.cut()

    control.play(script)
    result = command("--control", control.path, "--graceful")
    assert result.returncode == 1 and "main/gunicorn0: restarting" in result.stdout
    assert "the proxy ended in the middle of the restart" in result.stderr
    assert f"galaxy-lb --control {control.path} --status" in result.stderr


@pytest.mark.parametrize("arguments", [("--graceful",), ("--graceful", "--only", "a"), ("--abort",)])
def test_no_proxy_is_running(folder, arguments):
    result = command("--control", f"{folder}/none.sock", *arguments)
    assert result.returncode == 3 and result.stdout == "" and "no proxy is running" in result.stderr


def test_abort(control):
    control.answers["POST", "/v1/restart/abort"] = (200, {"aborting": True})
    result = command("--control", control.path, "--abort")
    assert result.returncode == 0 and "stops at the next safe point" in result.stdout
    assert control.requests == [("POST", "/v1/restart/abort", {})]
    control.answers["POST", "/v1/restart/abort"] = (409, {"error": "no restart is in progress"})
    result = command("--control", control.path, "--abort")
    assert result.returncode == 1 and result.stderr == "galaxy-lb: no restart is in progress\n"


def test_attaching(control):
    def script(stream):
        begin(stream, attached=True)
        phase(stream, "gunicorn0", "draining", "progress", elapsed=7.0, in_flight=2)
        finish(stream)

    control.play(script)
    result = command("--control", control.path, "--graceful")
    assert result.returncode == 0
    assert result.stdout.startswith("attached to the restart that is in progress: its options are in force")
    assert "main/gunicorn0: draining, 2 in flight (2 ordinary), at most 2min\n" in result.stdout


@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_detaching(control, on_pipe, number, status, arguments):
    def script(stream):
        begin(stream)
        stream.wait_until_left()

    control.play(script)
    program = on_pipe(*arguments)
    program.stdout.readline()
    program.send_signal(number)
    _, complaint = program.communicate(timeout=PATIENCE)
    assert program.returncode == status and control.left.wait(PATIENCE)
    assert "detached; the restart goes on" in complaint
    assert f"'galaxy-lb --control {control.path} --graceful' attaches to it" in complaint
    assert f"'galaxy-lb --control {control.path} --abort' stops it" in complaint
    assert [request[1] for request in control.requests] == ["/v1/restart"], "it only goes"


def test_an_ignored_signal_stays_ignored(control, on_pipe):
    """As in the background of a script: its Ctrl-C is not meant for the restart's follower."""
    gate = threading.Event()

    def script(stream):
        begin(stream)
        assert gate.wait(PATIENCE)
        finish(stream)

    control.play(script)
    program = on_pipe(prefix=("sh", "-c", "trap '' INT; exec \"$0\" \"$@\""))
    program.stdout.readline()
    program.send_signal(signal.SIGINT)
    gate.set()
    output, _ = program.communicate(timeout=PATIENCE)
    assert program.returncode == 0 and output.endswith(SUMMARY)


@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_nobody_reads(control, on_pipe, arguments):
    """`galaxy-lb --graceful | head -1`"""
    def script(stream):
        begin(stream)
        while not control.left.is_set():
            phase(stream, "gunicorn0", "draining")
            phase(stream, "gunicorn0", "restarting")

    control.play(script)
    program = on_pipe(*arguments)
    program.stdout.readline()
    program.stdout.close()
    assert program.wait(PATIENCE) == 141
    assert "nobody reads standard output; the restart goes on" in program.stderr.read()
    program.stdout = None


def test_a_full_disk_does_not_hide_the_end(control):
    control.play(lambda stream: (walk(stream), None)[1])
    with open("/dev/full", "w", encoding="utf-8") as full:
        result = command("--control", control.path, "--graceful", stdout=full)
    assert result.returncode == 0
    assert result.stderr == "galaxy-lb: cannot write to standard output: write: No space left on device\n"


@pytest.mark.slow
def test_silence_is_no_end_while_the_proxy_answers(control):
    """A hook may take ten minutes, and say nothing; a proxy that does not answer any more is another thing."""
    control.answers["GET", "/v1/restart"] = (200, {"state": "running", "last": None})
    def script(stream):
        begin(stream)
        # A request on another connection, after the client's 30 s.
        eventually(lambda: ("GET", "/v1/restart", None) in control.requests, "it asks", 50)
        finish(stream)

    control.play(script)
    result = command("--control", control.path, "--graceful")
    assert result.returncode == 0 and result.stdout.endswith(SUMMARY)


# MARK: terminals

def test_the_view_is_drawn_in_place(control, on_terminal):
    gate = [threading.Event() for _ in range(3)]

    def script(stream):
        begin(stream)
        phase(stream, "gunicorn0", "draining", elapsed=60.0, in_flight=3)
        assert gate[0].wait(PATIENCE)
        stream.line("message", level="notice", text="waiting for capacity " + "x" * 100)
        phase(stream, "gunicorn0", "awaiting_readiness", timeout=300.0)
        assert gate[1].wait(PATIENCE)
        phase(stream, "gunicorn0", "failed", reason="it exited with status 1")
        assert gate[2].wait(PATIENCE)
        finish(stream)

    control.play(script)
    program = on_terminal()
    program.wait_for_text("3 in flight  [#")
    [line] = [line for line in program.screen.lines if "in flight" in line]
    assert line.split()[:2] == ["main/gunicorn0", "draining"] and line.endswith("of 2min") and "1min" in line
    # It goes on by itself.
    program.wait_for(lambda text: "1min 1s" in text or "1min 2s" in text, "the time goes on")
    program.wait_for_text("0 of 2 restarted, 1 under way, 1 waiting")
    assert "main/gunicorn1  waiting     24.1.2, 24.1.3 on disk" in program.screen.text()
    gate[0].set()
    program.wait_for_text("readiness")
    assert program.screen.text().count("main/gunicorn0") == 1, program.screen.text()
    assert program.screen.lines[1].startswith("notice: waiting for capacity xxx")
    gate[1].set()
    program.wait_for_text("main/gunicorn0  failed      it exited with status 1")
    assert program.screen.coloured
    # The message alone is wider than the screen.
    assert program.screen.breaks == 1
    gate[2].set()
    assert program.wait() == 0
    shown = program.screen.text().splitlines()
    assert shown[0] == "main: 2 upstreams: the other upstreams serve while one is restarted"
    assert shown[1].startswith("notice: waiting for capacity")
    assert shown[3].split()[:3] == ["UPSTREAM", "RESULT", "DRAIN"], "the frame is gone"
    assert "waiting     24.1.2" not in program.screen.text()
    # Below the last line, with nothing hidden or set.
    assert program.screen.row == len(program.screen.lines) - 1 and program.screen.column == 0
    assert b"\x1b[?" not in program.raw


def test_ctrl_c_detaches(control, on_terminal):
    def script(stream):
        begin(stream)
        phase(stream, "gunicorn0", "draining", in_flight=3)
        stream.wait_until_left()

    control.play(script)
    program = on_terminal()
    program.wait_for_text("3 in flight")
    program.type("\x03")
    assert program.wait() == 130 and control.left.wait(PATIENCE)
    shown = program.screen.text()
    assert "\ngalaxy-lb: detached; the restart goes on: " in shown and "^C" not in shown
    assert "main/gunicorn0  draining" in shown, "the last state stays"


def test_what_a_shell_writes_meanwhile_stays(control, on_terminal):
    """Ctrl-Z, and `fg` later: the view begins anew below it."""
    gate = threading.Event()

    def script(stream):
        begin(stream)
        phase(stream, "gunicorn0", "draining", in_flight=3)
        assert gate.wait(PATIENCE)
        phase(stream, "gunicorn0", "completed", in_flight=0)
        stream.wait_until_left()

    control.play(script)
    program = on_terminal()
    program.wait_for_text("3 in flight")
    # Ctrl-Z itself does nothing to a program that no shell waits for (setpgid(2), orphaned process groups).
    os.kill(program.child.pid, signal.SIGSTOP)
    while program.read(0.3):
        pass
    program.screen.write("[1]+  Stopped\r\n$ fg\r\n")
    os.kill(program.child.pid, signal.SIGCONT)
    gate.set()
    program.wait_for_text("main/gunicorn0  completed")
    shown = program.screen.text()
    assert shown.index("3 in flight") < shown.index("[1]+  Stopped\n$ fg\n") < shown.index("completed")
    program.type("\x03")
    assert program.wait() == 130


@pytest.mark.parametrize("columns", [1, 10, 25, 40, 60])
def test_narrow_terminals(control, on_terminal, columns):
    """Nothing of the frame is ever wider than the screen."""
    gate = threading.Event()

    def script(stream):
        stream.line("begun", pools=[])
        for name in ("gunicorn0", "gunicorn1"):
            phase(stream, name, "draining", in_flight=3)
        stream.line("begun_no_more")
        assert gate.wait(PATIENCE)
        finish(stream, "refused", 4, [restarted("a", fate="untouched")], "", report_file=None)

    control.play(script)
    program = on_terminal(columns=columns)
    # On the narrowest there is nothing to see.
    program.wait_for_text({1: "", 10: "..icorn1"}.get(columns, "orn1  draining"))
    breaks = program.screen.breaks
    gate.set()
    assert program.wait() == 4 and breaks == 0


def test_the_size_is_followed(control, on_terminal):
    gate = threading.Event()

    def script(stream):
        begin(stream, [f"gunicorn{number}" for number in range(12)])
        phase(stream, "gunicorn7", "draining", in_flight=3)
        assert gate.wait(PATIENCE)
        finish(stream)

    control.play(script)
    program = on_terminal(rows=8)
    program.wait_for(lambda text: "6 not shown" in text and "main/gunicorn7" in text, "those under way are shown")
    shown = [line.split()[0] for line in program.screen.lines if "main/gunicorn" in line]
    assert shown == [f"main/gunicorn{number}" for number in (0, 1, 2, 3, 4, 7)]
    program.resize(80, 24)
    program.screen.rows = 24
    program.wait_for(lambda text: "main/gunicorn11" in text and "not shown" not in text, "all are shown")
    gate.set()
    assert program.wait() == 0


def test_other_terminals(control, on_terminal):
    control.play(walk)
    plain = on_terminal(TERM="dumb")
    assert plain.wait() == 0 and b"\x1b" not in plain.raw
    assert "main/gunicorn0: awaiting readiness" in plain.screen.text()
    colourless = on_terminal(NO_COLOR="1")
    assert colourless.wait() == 0
    assert not colourless.screen.coloured and b"\x1b[J" in colourless.raw
    lines = on_terminal("--json")
    assert lines.wait() == 0
    assert json.loads(lines.raw.splitlines()[0])["event"] == "begun"
