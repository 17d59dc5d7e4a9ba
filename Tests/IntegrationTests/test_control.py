"""The control socket, the commands that use it, and the numbers that it tells, with the built binary under traffic."""

import json
import os
import pty
import re
import shutil
import signal
import stat
import subprocess

import pytest
from harness.addresses import connect, free_port
from harness.client import get
from harness.control import BINARY, Control, command
from harness.load import Load
from harness.process import Program
from harness.stream import ByteStream, eventually
from harness.upstream import serve, serve_bytes
from prometheus_client.parser import text_string_to_metric_families

NOBODY = 65534


pytestmark = pytest.mark.galaxy_lb


@pytest.fixture
def run(folder):
    """Starts galaxy-lb in a folder of the test's own, and waits for a line of its log."""
    programs = []

    def run(*arguments, until="NOTICE listening", environment=None, prefix=()):
        variables = {"PATH": os.environ["PATH"], "HOME": folder, "GRAVITY_SKIP_SYSTEMD": "1"}
        for name in ("ASAN_OPTIONS", "TSAN_OPTIONS", "LD_LIBRARY_PATH"):
            if name in os.environ:
                variables[name] = os.environ[name]
        program = Program([*prefix, BINARY, *arguments], f"{folder}/log{len(programs)}",
                          variables | (environment or {}))
        programs.append(program)
        eventually(lambda: until.encode() in program.log() or not program.alive(), f"{until!r} in the log", 20)
        return program

    yield run
    for program in programs:
        if program.alive():
            program.kill()


def held(upstream, gate):
    """A script that answers `/held` only when the gate opens, and everything else at once."""
    def answer(connection, request):
        if request.target.startswith(b"/held"):
            gate.wait(30)
        connection.respond(200, request.target + b"|" + request.body)
    upstream.script = serve(answer)


def one_in_flight(wire):
    """A gate, and a client whose request is upstream until it opens."""
    gate = wire.upstream.gate()
    held(wire.upstream, gate)
    client = wire.client()
    client.send(get(b"/held"))
    wire.upstream.wait_for_heads(1)
    return gate, client


# MARK: reading

def test_curl_reads_the_status(start):
    wire = start()
    result = subprocess.run(["curl", "-sS", "--unix-socket", Control.of(wire).path, "http://localhost/v1/status"],
                            capture_output=True, text=True, timeout=20, check=True)
    status = json.loads(result.stdout)
    assert status["pid"] == wire.program.pid and status["stopping"] is False
    [upstream] = status["pools"][0]["upstreams"]
    assert upstream["address"] == wire.upstream.address
    assert (upstream["administrative"], upstream["operational"]) == ("ready", "up")


def test_one_connection_serves_many_requests(start):
    wire = start()
    control = Control.of(wire)
    client = connect(f"unix:{control.path}")
    client.sendall(b"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\nHEAD /v1/upstreams HTTP/1.1\r\nHost: x\r\n\r\n"
                   b"GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    answer = ByteStream(client).read_to_end()
    client.close()
    assert re.findall(rb"HTTP/1.1 (\d+)", answer) == [b"200", b"200", b"404"]


def test_errors_say_what_is_expected(start):
    wire = start()
    control = Control.of(wire)
    path = control.path_of(wire.upstream)
    status, headers, content = control.request("DELETE", path)
    assert status == 405 and headers["Allow"] == "GET, HEAD" and b"DELETE" in content
    status, headers, _ = control.request("GET", path + "/drain")
    assert status == 405 and headers["Allow"] == "POST"
    for target in ("/", "/v1", path + "/stop", "/v1/upstreams/x"):
        status, _, content = control.request("GET", target)
        assert status == 404 and "error" in json.loads(content)
    status, _, content = control.request("GET", path + "x")
    assert status == 404 and b"did you mean" in content
    status, _, content = control.request("POST", path + "/drain", b'{"reason": }')
    assert status == 400 and b"line 1, column 12" in content
    status, _, content = control.request("POST", path + "/weight", b'{"weight": "much"}')
    assert status == 400 and b"from 1 to 1000" in content
    status, _, content = control.request("POST", path + "/drain", b"x" * 70_000)
    assert status == 413
    assert control.upstreams()[wire.upstream.address]["administrative"] == "ready"


def test_a_chunked_body_is_taken(start):
    wire = start()
    control = Control.of(wire)
    client = connect(f"unix:{control.path}")
    for byte in (f"POST {control.path_of(wire.upstream)}/weight HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                 "Transfer-Encoding: chunked\r\n\r\n5\r\n{\"wei\r\n8;x=y\r\nght\": 7}\r\n0\r\n\r\n").encode():
        client.sendall(bytes([byte]))
    answer = ByteStream(client).read_to_end()
    client.close()
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert control.upstreams()[wire.upstream.address]["weight"] == 7


# MARK: draining

def test_nothing_fails_while_one_is_drained(start):
    first, second = start(upstreams=2)
    control = Control.of(first)
    name = control.name_of(first.upstream)
    load = Load(first)
    load.wait_for(50)

    def drain_and_admit():
        result = control.command("--drain", name, "--wait", "--timeout", "20s")
        assert result.returncode == 0, result.stderr
        assert f"{name}: drained, nothing in flight" in result.stdout
        seen = len(first.upstream.heads)
        load.wait_for(50)
        assert len(first.upstream.heads) == seen, "a drained upstream got requests"
        # Idle connections went at once, not when their time was over.
        eventually(lambda: all(c.gone() for c in first.upstream.connections), "its connections are closed")
        result = control.command("--ready", name)
        assert result.returncode == 0 and "ready, up" in result.stdout
        first.upstream.wait_for(lambda: len(first.upstream.heads) > seen, "it gets requests again")
    for _ in range(3):
        drain_and_admit()
    load.finish()
    assert load.failures == []
    assert control.get("/v1/status")["requests"]["outcomes"].keys() <= {"completed", "client_left"}


def test_a_drain_waits_for_what_is_in_flight(start):
    first, second = start(upstreams=2)
    control = Control.of(first)
    gate = first.upstream.gate()
    for wire in (first, second):
        held(wire.upstream, gate)
    clients = [first.client() for _ in range(4)]
    for number, client in enumerate(clients):
        client.send(get(b"/held-%d" % number))
    eventually(lambda: len(first.upstream.heads) + len(second.upstream.heads) == 4, "all requests are upstream")
    mine = len(first.upstream.heads)
    assert mine > 0
    lines = control.lines(control.path_of(first.upstream) + "/drain", {"wait": True, "reason": "new code"})
    line = next(lines)
    assert line["event"] == "draining"
    assert line["in_flight"]["total"] == line["in_flight"]["ordinary"] == mine
    document = control.upstreams()[first.upstream.address]
    assert document["administrative"] == "draining" and document["reason"] == "new code"
    assert not document["eligible"]
    gate.set()
    events = [line, *lines]
    assert events[-1]["event"] == "drained" and events[-1]["in_flight"]["total"] == 0
    for number, client in enumerate(clients):
        assert client.read_response().body == b"/held-%d|" % number


def test_a_drain_that_takes_too_long(start):
    wire = start()
    control = Control.of(wire)
    gate, client = one_in_flight(wire)
    name = control.name_of(wire.upstream)
    result = control.command("--drain", name, "--wait", "--timeout", "200ms")
    assert result.returncode == 1
    assert f"{name} is not drained in time; it stays draining" in result.stderr
    assert "warning: no upstream of pool 'default' takes requests now" in result.stderr
    assert "timed out, 1 in flight (1 ordinary)" in result.stdout
    result = control.command("--drain", name, "--wait", "--timeout", "0ms", "--json")
    assert result.returncode == 1
    assert [json.loads(line)["event"] for line in result.stdout.splitlines()] == ["timed_out"]
    # Somebody else who makes it ready ends the waiting.
    waiting = subprocess.Popen([BINARY, "--control", control.path, "--drain", name, "--wait"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert waiting.stdout.readline() == f"{name}: draining, 1 in flight (1 ordinary)\n"
        control.post(control.path_of(wire.upstream) + "/ready")
        _, complaint = waiting.communicate(timeout=20)
        assert waiting.returncode == 1 and "was made ready by somebody else" in complaint
    finally:
        waiting.kill()
        waiting.wait()
    gate.set()
    assert client.read_response().status == 200
    assert control.upstreams()[wire.upstream.address]["administrative"] == "ready"


def test_a_client_that_goes_leaves_the_drain(start):
    wire = start()
    control = Control.of(wire)
    gate, client = one_in_flight(wire)
    before = wire.program.descriptors()
    lines = control.lines(control.path_of(wire.upstream) + "/drain", {"wait": True})
    next(lines)
    lines.close()
    eventually(lambda: wire.program.descriptors() == before, "its connection is closed")
    assert control.upstreams()[wire.upstream.address]["administrative"] == "draining"
    gate.set()
    assert client.read_response().status == 200
    control.post(control.path_of(wire.upstream) + "/ready")


# MARK: maintenance and weight

def test_maintenance_tells_users_why(start):
    first, second = start(upstreams=2)
    control = Control.of(first)
    result = control.command("--maintenance", "default", "--reason", "New <disks> until 12:00")
    assert result.returncode == 0 and result.stdout.count("maintenance (New <disks> until 12:00), up") == 2
    response = first.client().exchange(get())
    assert response.status == 503 and b"<p>New &lt;disks&gt; until 12:00</p>" in response.body
    assert first.upstream.heads == second.upstream.heads == []
    result = control.command("--status")
    assert "maintenance: New <disks> until 12:00" in result.stdout
    assert control.command("--ready", "all").returncode == 0
    assert first.client().exchange(get()).status == 200


def test_weight_shares_the_traffic(start):
    first, second = start(upstreams=2)
    control = Control.of(first)
    result = control.command("--weight", f"{control.name_of(first.upstream)}=9")
    assert result.returncode == 0 and "weight 9" in result.stdout
    gate = first.upstream.gate()
    for wire in (first, second):
        held(wire.upstream, gate)
    clients = [first.client() for _ in range(20)]
    for client in clients:
        client.send(get(b"/held"))
    eventually(lambda: len(first.upstream.heads) + len(second.upstream.heads) == 20, "all requests are upstream")
    # Each loop takes its own turns, so the last ones of each may differ.
    assert len(first.upstream.heads) >= 16
    gate.set()
    for client in clients:
        assert client.read_response().status == 200


@pytest.mark.parametrize("by", ["signal", "request"])
def test_a_reload_keeps_what_was_set(start, by):
    """Also when the pool changes, and with another number of threads, which is for the next start."""
    first, second = start(upstreams=2, timeouts={"connect": "5s"})
    control = Control.of(first)
    control.post(control.path_of(first.upstream) + "/drain", {"reason": "mine"})
    control.post(control.path_of(second.upstream) + "/weight", {"weight": 8})
    file = os.path.join(first.proxy.folder, "galaxy-lb.yml")
    with open(file, encoding="utf-8") as text:
        settings = text.read()
    # Another pool by its settings, of the same upstreams.
    changed = settings.replace("  main:\n", "  main:\n    slow_start: 1ms\n")
    assert changed != settings
    with open(file, "w", encoding="utf-8") as text:
        text.write(changed + "threads: 1\n")
    if by == "signal":
        first.program.send_signal(signal.SIGHUP)
        eventually(lambda: control.get("/v1/status")["reloads"]["done"] == 1, "it is reloaded")
    else:
        status, _, content = control.request("POST", "/v1/reload")
        assert status == 200 and json.loads(content) == {"reloads": 1}, first.program.tail()
    upstreams = control.upstreams()
    assert upstreams[first.upstream.address]["administrative"] == "draining"
    assert upstreams[first.upstream.address]["reason"] == "mine"
    assert upstreams[second.upstream.address]["weight"] == 8
    for _ in range(10):
        assert first.client().exchange(get()).status == 200
    assert first.upstream.heads == [] and len(second.upstream.heads) == 10
    with open(file, "w", encoding="utf-8") as text:
        text.write("listen: [")
    if by == "request":
        assert "can't be used" in control.post("/v1/reload", expect=422)["error"]
        assert control.get("/v1/status")["reloads"] == {"done": 1, "refused": 1}


# MARK: commands

def test_status_is_a_table(start):
    first, second = start(upstreams=2)
    control = Control.of(first)
    assert first.client().exchange(get()).status == 200
    result = control.command("--status")
    assert result.returncode == 0 and result.stderr == ""
    lines = result.stdout.splitlines()
    assert lines[0].startswith(f"galaxy-lb 0.1.0, pid {first.program.pid}, up ")
    assert lines[2].split() == ["POOL", "UPSTREAM", "ADDRESS", "STATE", "IN", "FLIGHT", "REQUESTS", "FAILURES", "FOR"]
    assert {line.split()[2] for line in lines[3:]} == {first.upstream.address, second.upstream.address}
    assert all(line.split()[3] == "ready/up" for line in lines[3:])
    assert sum(int(line.split()[5]) for line in lines[3:]) == 1
    document = json.loads(control.command("--status", "--json").stdout)
    assert document["pid"] == first.program.pid


@pytest.mark.parametrize("environment, coloured", [
    ({"TERM": "xterm"}, True), ({"TERM": "xterm", "NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_colours_are_for_terminals(start, environment, coloured):
    wire = start()
    primary, secondary = pty.openpty()
    try:
        assert Control.of(wire).command("--status", environment=environment, stdout=secondary).returncode == 0
        shown = os.read(primary, 65_536)
    finally:
        os.close(primary)
        os.close(secondary)
    assert (b"\x1b[32mready/up\x1b[0m" in shown) == coloured and (b"\x1b" in shown) == coloured


def test_a_name_that_is_none(start):
    wire = start()
    control = Control.of(wire)
    name = control.name_of(wire.upstream)
    result = control.command("--drain", name[:-1] + "x")
    assert result.returncode == 2
    assert f"(did you mean '{name}'?)" in result.stderr
    assert control.upstreams()[wire.upstream.address]["administrative"] == "ready"


@pytest.mark.parametrize("arguments", [
    ("--status",), ("--drain", "a", "--wait"), ("--ready", "a"), ("--maintenance", "all"), ("--weight", "a=2")])
def test_no_proxy_is_running(folder, arguments):
    result = command("--control", f"{folder}/none.sock", *arguments)
    assert result.returncode == 3 and result.stdout == ""
    assert result.stderr == (f"galaxy-lb: no proxy is running: nobody listens on {folder}/none.sock "
                             "(No such file or directory)\n")


def test_where_commands_look(folder):
    own = os.path.join(folder, "user")
    result = command("--status", environment={"XDG_RUNTIME_DIR": own, "RUNTIME_DIRECTORY": f"{folder}/service"})
    assert result.returncode in (0, 3)
    if result.returncode == 3:
        for path in (f"{folder}/service/control.sock", f"{own}/galaxy-lb/control.sock", "/run/galaxy-lb/control.sock"):
            assert path in result.stderr
    file = os.path.join(folder, "lb.yml")
    with open(file, "w", encoding="utf-8") as text:
        text.write("control: my.sock\nthreads: wrong\n")
    result = command("--status", "--config", file)
    assert result.returncode == 3 and f"{folder}/my.sock" in result.stderr
    with open(file, "w", encoding="utf-8") as text:
        text.write("control: off\n")
    result = command("--status", "--config", file)
    assert result.returncode == 2 and "control is off" in result.stderr


# MARK: the socket

def test_the_default_socket(run, folder):
    environment = {"RUNTIME_DIRECTORY": f"{folder}/run"}
    path = f"{folder}/run/control.sock"
    arguments = ("--listen", "127.0.0.1:0", "--upstream", "unix:none.sock")
    first = run(*arguments, environment=environment)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o660
    assert stat.S_IMODE(os.stat(f"{folder}/run").st_mode) == 0o755
    assert f"pid {first.pid}" in command("--status", environment=environment).stdout
    # A second one is only warned: nobody asked for a control socket.
    second = run(*arguments, environment=environment)
    assert b"WARNING running without a control socket" in second.log() and b"is in use" in second.log()
    assert second.stop() == 0
    assert f"pid {first.pid}" in command("--status", environment=environment).stdout
    # One that was asked for is another thing.
    third = run(*arguments, "--control", path, until="ERROR cannot start")
    eventually(lambda: not third.alive(), "it ends")
    assert third.child.returncode == 1 and b"is in use" in third.log()
    # A proxy that is killed leaves its socket, and the next one takes its place.
    first.kill()
    assert os.path.exists(path)
    # The other places are looked at, too: somebody else's proxy may listen there.
    assert f"pid {first.pid}" not in command("--status", environment=environment).stdout
    fourth = run(*arguments, environment=environment)
    assert f"pid {fourth.pid}" in command("--status", environment=environment).stdout
    # What is another's by now is left alone.
    os.unlink(path)
    fifth = run(*arguments, environment=environment)
    assert fourth.stop() == 0
    assert f"pid {fifth.pid}" in command("--status", environment=environment).stdout
    assert fifth.stop() == 0
    assert not os.path.exists(path)


def test_no_control_socket(run, folder):
    program = run("--listen", "127.0.0.1:0", "--upstream", "unix:none.sock", "--control", "off",
                  environment={"RUNTIME_DIRECTORY": f"{folder}/run"})
    assert not os.path.exists(f"{folder}/run")
    assert program.stop() == 0


def as_nobody(*groups):
    """What runs a command as a user without any rights."""
    return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}",
            f"--groups={','.join(map(str, groups))}" if groups else "--clear-groups"]


needs_root = pytest.mark.skipif(os.geteuid() != 0 or shutil.which("setpriv") is None,
                                reason="needs root, to be somebody else for a moment")


@needs_root
def test_who_may_do_what(run, folder):
    reachable = os.path.join(folder, "galaxy-lb")
    shutil.copy(BINARY, reachable)
    os.chmod(folder, 0o755)
    path = f"{folder}/c.sock"
    file = f"{folder}/lb.yml"
    with open(file, "w", encoding="utf-8") as text:
        text.write(f"control: {path}\ncontrol_group: '12345'\n" if has_group(12345) else f"control: {path}\n")
        text.write("listen: 127.0.0.1:0\npools: {main: {upstreams: 'unix:none.sock'}}\nuser: daemon\n")
    program = run("--config", file)
    status = os.stat(path)
    daemon = int(subprocess.run(["id", "-u", "daemon"], capture_output=True, check=True, timeout=10).stdout)
    assert status.st_uid == daemon and stat.S_IMODE(status.st_mode) == 0o660

    def ask(prefix, *arguments):
        return subprocess.run([*prefix, reachable, "--control", path, *arguments], capture_output=True, text=True,
                              timeout=30, check=False)

    stranger = ask(as_nobody(), "--status")
    assert stranger.returncode == 1 and "permission denied: this user may not connect" in stranger.stderr
    # Whoever is in the socket's group may look, and change nothing.
    member = as_nobody(status.st_gid)
    assert ask(member, "--status").returncode == 0
    refused = ask(member, "--drain", "none")
    assert refused.returncode == 1 and "permission denied: only root" in refused.stderr
    assert Control(path).get("/v1/upstreams")["upstreams"][0]["administrative"] == "ready"
    owner = ["setpriv", f"--reuid={daemon}", f"--regid={NOBODY}", "--clear-groups"]
    assert ask(owner, "--drain", "none").returncode == 0
    assert ask([], "--ready", "none").returncode == 0
    assert program.stop() == 0


def has_group(number):
    result = subprocess.run(["getent", "group", str(number)], capture_output=True, timeout=10, check=False)
    return result.returncode == 0


@needs_root
def test_members_of_control_group_may_change_things(run, folder):
    reachable = os.path.join(folder, "galaxy-lb")
    shutil.copy(BINARY, reachable)
    os.chmod(folder, 0o755)
    path = f"{folder}/c.sock"
    group = int(subprocess.run(["getent", "group", "games"], capture_output=True, text=True, timeout=10,
                               check=True).stdout.split(":")[2])
    file = f"{folder}/lb.yml"
    with open(file, "w", encoding="utf-8") as text:
        text.write(f"control: {path}\ncontrol_group: games\nlisten: 127.0.0.1:0\nuser: daemon\n"
                   "pools: {main: {upstreams: 'unix:none.sock'}}\n")
    program = run("--config", file)
    assert os.stat(path).st_gid == group and stat.S_IMODE(os.stat(path).st_mode) == 0o660
    for prefix, status in ((as_nobody(group), 0), (as_nobody(), 1)):
        result = subprocess.run([*prefix, reachable, "--control", path, "--maintenance", "all"],
                                capture_output=True, timeout=30, check=False)
        assert result.returncode == status
    assert program.stop() == 0


# MARK: clients that misbehave

@pytest.mark.parametrize("data, status", [
    (b"\x16\x03\x01\x02\x00\r\n", 400), (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    (b"GET /v1/status HTTP/1.1\r\n\r\n", 400), (b"GET /v1/status\r\n", 400),
    (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n", 414),
    (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: " + b"x" * 17_000, 431),
    (b"POST /v1/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    (b"POST /v1/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 65537\r\n\r\n", 413),
    (b"POST /v1/reload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", 400),
    (b"POST /v1/reload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n11000\r\n" + b"x" * 0x11000, 413),
])
def test_malformed_requests(wire, data, status):
    control = Control.of(wire)
    client = connect(f"unix:{control.path}")
    try:
        client.sendall(data)
    except BrokenPipeError:
        pass
    answer = ByteStream(client).read_to_end()
    client.close()
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer[:200]
    assert answer.count(b"HTTP/1.1 ") == 1 and b"Connection: close" in answer
    assert control.get("/v1/status")["reloads"]["done"] == 0


def test_idle_clients_lock_nobody_out(start):
    wire = start()
    control = Control.of(wire)
    idle = [connect(f"unix:{control.path}") for _ in range(200)]
    assert control.get("/v1/status")["pid"] == wire.program.pid
    for client in idle:
        client.close()


@pytest.mark.slow
def test_a_slow_client_is_told_so(start, kind):
    if kind == "tcp":
        pytest.skip("takes its time, and the control socket is the same")
    wire = start()
    client = connect(f"unix:{Control.of(wire).path}", timeout=40)
    client.sendall(b"GET /v1/status HTTP/1.1\r\nHost:")
    answer = ByteStream(client)
    answer.timeout = 40
    assert answer.read_to_end().startswith(b"HTTP/1.1 408 ")
    client.close()


def test_a_client_that_reads_nothing_blocks_nobody(start):
    wire = start()
    control = Control.of(wire)
    greedy = connect(f"unix:{control.path}")
    greedy.setblocking(False)
    try:
        while True:
            greedy.send(b"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n" * 100)
    except BlockingIOError:
        pass
    before = wire.program.resident()
    assert control.get("/v1/status")["pid"] == wire.program.pid
    assert wire.client().exchange(get()).status == 200
    wire.check_growth(before, 4 << 20)
    greedy.close()


# MARK: numbers

def metrics(text):
    """Samples by name and labels."""
    samples = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation and family.type != "unknown", family
        for sample in family.samples:
            key = (sample.name, *sorted(sample.labels.items()))
            assert key not in samples, key
            samples[key] = sample.value
    return samples


def total(samples, name, **labels):
    return sum(value for (found, *pairs), value in samples.items()
               if found == name and labels.items() <= dict(pairs).items())


def test_metrics_add_up(start):
    first, second = start(upstreams=2)
    control = Control.of(first)
    answers = {b"/200": 12, b"/404": 5, b"/500": 3}

    def answer(connection, request):
        connection.respond(int(request.target[1:]), b"x")
    for wire in (first, second):
        wire.upstream.script = serve(answer)
    # The harness has looked whether the proxy accepts.
    earlier = control.get("/v1/status")["client_connections"]["total"]
    client = first.client()
    for target, count in answers.items():
        for _ in range(count):
            assert client.exchange(get(target)).status == int(target[1:])
    client.close()
    for _ in range(4):
        bad = first.client()
        bad.send(b"GET / HTTP/1.1\r\n\r\n")
        assert bad.read_response().status == 400
        bad.close()
    # One that leaves in the middle of a head is counted, as it is logged; an empty line is no request yet.
    for piece in (b"GET /gone HTTP/1.1\r\nHo", b"\r\n"):
        gone = first.client()
        gone.send(piece)
        gone.close()
    eventually(lambda: control.get("/v1/status")["client_connections"]["total"] == earlier + 7, "all were accepted")
    eventually(lambda: control.get("/v1/status")["client_connections"]["open"] == 0, "all clients are gone")
    status, headers, content = control.request("GET", "/metrics")
    assert status == 200 and headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    samples = metrics(content.decode())
    sent = sum(answers.values())
    assert total(samples, "galaxy_lb_requests_total", outcome="completed") == sent
    assert total(samples, "galaxy_lb_requests_total", outcome="rejected_missing_host") == 4
    assert total(samples, "galaxy_lb_requests_total", outcome="client_left") == 1
    assert total(samples, "galaxy_lb_requests_total") == sent + 5
    assert total(samples, "galaxy_lb_upstream_requests_total") == sent
    by_connection = [total(samples, f"galaxy_lb_upstream_{what}_total") for what in ("connects", "reuses")]
    assert sum(by_connection) == sent
    for digit, count in (("2", 12), ("4", 5), ("5", 3)):
        assert total(samples, "galaxy_lb_upstream_responses_total", status=f"{digit}xx") == count
    name = "galaxy_lb_upstream_time_to_first_byte_seconds"
    assert total(samples, f"{name}_count") == total(samples, f"{name}_bucket", le="+Inf") == sent
    assert total(samples, f"{name}_sum") > 0
    assert total(samples, "galaxy_lb_client_connections_total") == earlier + 7
    for name in ("galaxy_lb_client_connections", "galaxy_lb_upstream_requests_in_flight"):
        assert total(samples, name) == 0
    assert total(samples, "galaxy_lb_upstream_administrative_state") == 2
    assert total(samples, "galaxy_lb_upstream_operational_state", state="up") == 2
    assert total(samples, "galaxy_lb_build_info", version="0.1.0") == 1
    assert total(samples, "galaxy_lb_upstream_failures_total") == 0
    # The document tells the same.
    document = control.get("/v1/status")
    assert document["requests"]["ended"] == sent + 5
    upstreams = document["pools"][0]["upstreams"]
    assert sum(upstream["requests"] for upstream in upstreams) == sent
    assert sum(upstream["responses"]["4xx"] for upstream in upstreams) == 5


def test_failures_are_counted_by_kind(start):
    wire = start()
    control = Control.of(wire)
    wire.upstream.script = serve_bytes(b"nonsense\r\n\r\n", then_close=True)
    assert wire.client().exchange(get()).status == 502
    # A request ends when its client has taken the answer, which the client may see first.
    eventually(lambda: control.get("/v1/status")["requests"]["ended"] == 1, "the request has ended")
    samples = metrics(control.request("GET", "/metrics")[2].decode())
    assert total(samples, "galaxy_lb_upstream_failures_total", kind="malformed_response") == 1
    assert total(samples, "galaxy_lb_requests_total", outcome="upstream_malformed_response") == 1
    assert control.upstreams()[wire.upstream.address]["failures"]["malformed_response"] == 1


def test_in_flight_is_counted_by_class(start):
    wire = start()
    control = Control.of(wire)
    gate = wire.upstream.gate()

    def answer(connection, request):
        if request.target == b"/events":
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
        gate.wait(30)
        connection.close()
    wire.upstream.script = serve(answer)
    ordinary, events = wire.client(), wire.client()
    ordinary.send(get(b"/ordinary"))
    events.send(get(b"/events"))
    assert events.read_head().status == 200

    def counts():
        found = control.upstreams()[wire.upstream.address]["in_flight"]
        return {name: count for name, count in found.items() if count}
    eventually(lambda: counts() == {"total": 2, "ordinary": 1, "event_stream": 1}, "both are in flight")
    samples = metrics(control.request("GET", "/metrics")[2].decode())
    assert total(samples, "galaxy_lb_upstream_requests_in_flight", **{"class": "event_stream"}) == 1
    gate.set()
    eventually(lambda: counts() == {}, "nothing is in flight")


def test_metrics_on_an_address_of_their_own(run, folder):
    address = f"127.0.0.1:{free_port()}"
    file = f"{folder}/lb.yml"
    with open(file, "w", encoding="utf-8") as text:
        text.write(f"listen: 127.0.0.1:0\ncontrol: off\nmetrics: {address}\n"
                   "pools: {main: {upstreams: 'unix:none.sock'}}\n")
    program = run("--config", file)

    def ask(data):
        client = connect(address)
        client.sendall(data)
        answer = ByteStream(client).read_to_end()
        client.close()
        return answer
    answer = ask(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert total(metrics(answer.partition(b"\r\n\r\n")[2].decode()), "galaxy_lb_event_loops") > 0
    # Nothing else is there, whatever is asked for.
    for request in (b"GET /v1/status", b"GET /v1/upstreams/main/none"):
        assert ask(request + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").startswith(b"HTTP/1.1 404 ")
    for request in (b"POST /v1/reload", b"POST /v1/upstreams/main/none/drain"):
        answer = ask(request + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 404 ")
    assert ask(b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n").startswith(b"HTTP/1.1 413 ")
    assert program.stop() == 0
