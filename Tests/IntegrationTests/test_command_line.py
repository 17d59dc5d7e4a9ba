"""The command line of the built binary: exit statuses, messages, --help, --version, --check, and reloading."""

import os
import signal
import socket
import subprocess
import time

import pytest

pytestmark = pytest.mark.galaxy_lb

REPOSITORY = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
BINARY = os.path.abspath(os.environ.get("GALAXY_LB", os.path.join(REPOSITORY, ".build/release/galaxy-lb")))
EXAMPLE = os.path.join(REPOSITORY, "conf", "galaxy-lb.yml")


@pytest.fixture
def run(tmp_path):
    """Runs galaxy-lb to its end in a folder of its own, without anything of this machine's configuration."""

    def run(*arguments, environment=None, stdout=subprocess.PIPE):
        variables = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "GRAVITY_SKIP_SYSTEMD": "1"}
        for name in ("ASAN_OPTIONS", "TSAN_OPTIONS", "LD_LIBRARY_PATH"):
            if name in os.environ:
                variables[name] = os.environ[name]
        return subprocess.run([BINARY, *arguments], cwd=tmp_path, env=variables | (environment or {}),
                              stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE, text=True,
                              timeout=30, check=False)

    return run


def write(folder, name, text):
    path = folder / name
    path.write_text(text)
    return str(path)


def complaints(result):
    """The lines on standard error, each with the program's name taken off, which all of them must have."""
    lines = result.stderr.splitlines()
    assert all(line.startswith("galaxy-lb: ") for line in lines), result.stderr
    return [line.removeprefix("galaxy-lb: ") for line in lines]


def errors(result):
    return [line for line in complaints(result) if "error: " in line]


def values(text):
    """What --check printed, as key and value of each line, comments taken off."""
    lines = [line.split("  # ")[0] for line in text.splitlines() if not line.lstrip().startswith("#")]
    return [line.rstrip() for line in lines]


def test_help_fits_a_screen(run):
    for option in ("--help", "-h"):
        result = run(option)
        assert result.returncode == 0 and result.stderr == ""
        lines = result.stdout.splitlines()
        assert len(lines) <= 23 and max(map(len, lines)) <= 80
        for name in ("listen", "upstream", "galaxy-config", "config", "threads", "control", "log-level",
                     "check", "version", "help"):
            assert f"--{name}" in result.stdout


def test_version_is_one_line(run):
    for option in ("--version", "-V"):
        result = run(option)
        assert result.returncode == 0 and result.stderr == ""
        name, number = result.stdout.split()
        assert name == "galaxy-lb" and all(part.isdigit() for part in number.split("."))


@pytest.mark.parametrize("arguments, message", [
    (["--lisen", ":80"], "unknown option '--lisen' (did you mean '--listen'?)"),
    (["--galaxy-conf1g=x"], "unknown option '--galaxy-conf1g' (did you mean '--galaxy-config'?)"),
    (["-z"], "unknown option '-z'"),
    (["check"], "stray argument 'check' (did you mean '--check'?)"),
    (["--upstream", "unix:a", "unix:b"], "stray argument 'unix:b'; each ADDRESS needs its own --upstream"),
    (["--threads", "many"], "option --threads: error: expected a number from 1 to 256, found 'many'"),
    (["--config"], "option --config: error: an argument is missing: --config FILE"),
    (["--check=yes"], "option --check: error: takes no argument"),
    (["--upstream", "nowhere"], "option --upstream: error: 'nowhere': no port"),
])
def test_mistakes_on_the_command_line(run, arguments, message):
    result = run(*arguments)
    assert result.returncode == 2 and result.stdout == ""
    assert len(complaints(result)) == 1
    assert message in complaints(result)[0]


def test_all_mistakes_on_the_command_line_at_once(run):
    result = run("stray", "--nonsense", "--threads", "0", "--listen", "x")
    assert result.returncode == 2
    assert len(errors(result)) == 4


def test_a_mistake_is_one_line(run):
    result = run("--a\nb\x1b[2J")
    assert result.returncode == 2
    assert result.stderr == "galaxy-lb: error: unknown option '--a\\nb\\u{1b}[2J'\n"


def test_a_full_disk_is_a_failure(run):
    with open("/dev/full", "w", encoding="utf-8") as full:
        result = run("--help", stdout=full)
    assert result.returncode == 1
    assert complaints(result) == ["cannot write to standard output: write: No space left on device"]


@pytest.mark.parametrize("verb", [[], ["--check"]])
def test_without_any_upstream(run, verb):
    result = run(*verb)
    assert result.returncode == 2 and result.stdout == ""
    assert len(complaints(result)) == 1
    assert "no upstream to send requests to, expected --upstream" in result.stderr


def test_check_shows_where_values_come_from(run, tmp_path):
    write(tmp_path, "lb.yml", "threads: 3\nlog_level: debug\ntimeouts:\n  connect: 1500ms\n")
    result = run("--check", "--config", "lb.yml", "--upstream", "unix:run/a.sock", "--upstream", "127.0.0.1:9001",
                 "--log-level", "error")
    assert result.returncode == 0
    lines = result.stdout.splitlines()
    assert "threads: 3  # lb.yml:1:10" in lines
    assert "  connect: 1500ms  # lb.yml:4:12" in lines
    assert "log_level: error  # option --log-level" in lines
    assert "  response: 5m  # default" in lines
    assert "      - name: a  # option --upstream" in lines
    assert "        address: unix:run/a.sock" in lines
    assert all("warning: " in line for line in complaints(result))
    assert "'run' of the socket can't be found" in result.stderr


def test_what_check_prints_can_be_read_again(run, tmp_path):
    first = run("--check", "--upstream", "127.0.0.1:9001", "--upstream", "[::1]:9002", "--listen", ":8080")
    assert first.returncode == 0
    second = run("--check", "--config", write(tmp_path, "again.yml", first.stdout))
    assert second.returncode == 0, second.stderr
    assert values(second.stdout) == values(first.stdout)


def test_check_reads_the_example(run):
    result = run("--check", "--config", EXAMPLE, "--upstream", "127.0.0.1:9001")
    assert result.returncode == 0 and result.stderr == ""
    assert all(line.endswith(("# default", "# option --upstream"))
               for line in result.stdout.splitlines() if "  # " in line.lstrip())


@pytest.mark.parametrize("verb", [[], ["--check"]])
def test_all_problems_of_a_file_at_once(run, tmp_path, verb):
    write(tmp_path, "lb.yml", "\n".join([
        "thread: 4",
        "log_level: inof",
        "timeouts:",
        "  connect: 5",
        "  keepalive: 5s",
        "limits: {request_head: 64KB}",
        "pools:",
        "  main:",
        "    upstreams:",
        "      - {address: 'localhost:9001', weight: 0}",
        "      - {address: 'localhost:9001'}",
        "routes:",
        "  - {pool: mian}",
        "  - {host: '*', path: /, pool: main}",
        ""]))
    result = run("--config", "lb.yml", *verb)
    assert result.returncode == 2 and result.stdout == ""
    found = complaints(result)
    places = [":".join(line.split(":")[1:3]) for line in found]
    assert places == ["1:1", "2:12", "4:12", "5:3", "6:24", "10:45", "11:9", "13:12", "14:32"]
    for message in ("unknown key 'thread' in galaxy-lb.yml (did you mean 'threads'?)",
                    "(did you mean 'info'?)", "(did you mean 'keep_alive'?)", "(did you mean '64KiB'?)",
                    "localhost:9001 is used twice", "found the pool 'mian', expected one of 'main'",
                    "already routed to pool 'mian' at lb.yml:13:12"):
        assert message in result.stderr


def test_a_file_that_is_not_there(run):
    result = run("--config", "missing.yml")
    assert result.returncode == 2
    assert complaints(result) == ["option --config: error: 'missing.yml' can't be read (No such file or directory)"]


def test_a_file_that_is_no_yaml(run, tmp_path):
    write(tmp_path, "lb.yml", "listen: [::1]:80\n")
    result = run("--check", "--config", "lb.yml")
    assert result.returncode == 2
    assert len(complaints(result)) == 1 and complaints(result)[0].startswith("lb.yml:1:")


GALAXY = """\
gravity:
  process_manager: supervisor
  galaxy_root: .
  gunicorn:
    - bind: unix:run/gunicorn0.sock
    - bind: unix:run/gunicorn1.sock
  handlers:
    handler: {processes: 1}
galaxy:
  galaxy_url_prefix: /galaxy
"""


def test_check_shows_a_galaxy(run, tmp_path):
    (tmp_path / "run").mkdir(mode=0o755)
    write(tmp_path, "galaxy.yml", GALAXY)
    result = run("--check", "--galaxy-config", "galaxy.yml")
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert "      path: /galaxy/api/version" in [line.split("  #")[0] for line in lines]
    for number in (0, 1):
        assert f"        # service: supervisor gunicorn:gunicorn_{number}" in lines
        assert f"        address: unix:{tmp_path}/run/gunicorn{number}.sock" in lines


def test_check_shows_how_a_galaxy_is_restarted(run, tmp_path):
    (tmp_path / "run").mkdir(mode=0o755)
    (tmp_path / "lib" / "galaxy").mkdir(parents=True)
    write(tmp_path / "lib" / "galaxy", "version.py", 'VERSION_MAJOR = "24.1"\nVERSION_MINOR = "2"\n')
    write(tmp_path, "galaxy.yml", GALAXY.replace("gunicorn1.sock", "gunicorn1.sock\n      restart_timeout: 90"))
    write(tmp_path, "lb.yml", "galaxy: galaxy.yml\nrestart: {drain: {upload: 1h}}\n"
          "pools: {_default_: {restart: {max_unavailable: 50%, probation: off}}}\n")
    result = run("--check", "--config", "lb.yml", environment={"STATE_DIRECTORY": "/var/lib/a:/var/lib/b"})
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert f"    # version of the code on disk: {tmp_path}/lib/galaxy/version" in lines
    assert "state_directory: /var/lib/a  # environment variable STATE_DIRECTORY" in lines
    assert "        upload: 1h  # lb.yml:2:27" in lines
    assert "      max_unavailable: 50%  # lb.yml:3:48" in lines
    assert "      probation: off  # lb.yml:3:64" in lines
    assert "          timeout: 5m  # default" in lines
    assert f"          timeout: 90s  # {tmp_path}/galaxy.yml:7:24" in lines
    socket_lines = [line for line in lines if line.startswith("          socket: ")]
    assert socket_lines == [f"          socket: unix:{tmp_path}/database/gravity/supervisor/supervisor.sock"] * 2


def test_what_check_prints_of_services_can_be_read_again(run, tmp_path):
    write(tmp_path, "lb.yml", "\n".join([
        "state_directory: off",
        "restart: {hooks: {before: [./announce, '100%'], on_halt: 'mail admins <halted', folder: bin}}",
        "pools:",
        "  main:",
        "    service: {systemd: 'galaxy-gunicorn@%i', user: true}",
        "    upstreams:",
        "      - 127.0.0.1:9001",
        "      - {address: '127.0.0.1:9002', service: {supervisor: 'g:g_0', socket: run/supervisor.sock, timeout: 1m}}",
        "      - {address: '127.0.0.1:9003', service: {command: 'docker restart %n', start: [docker, start, g]}}",
        "      - {address: '127.0.0.1:9004', service: {signal: HUP, pid_file: run/g.pid}}",
        ""]))
    first = run("--check", "--config", "lb.yml")
    assert first.returncode == 0 and first.stderr == ""
    words = [line.strip() for line in first.stdout.splitlines() if line.startswith("        # service: ")]
    assert words == ["# service: systemd galaxy-gunicorn@0.service of the user", "# service: supervisor g:g_0",
                     "# service: command docker restart %n", "# service: HUP to the gunicorn that run/g.pid names"]
    write(tmp_path, "again.yml", first.stdout)
    second = run("--check", "--config", "again.yml")
    assert second.returncode == 0 and second.stderr == ""
    assert values(second.stdout) == values(first.stdout)


def test_passwords_stay_in_their_file(run, tmp_path):
    text = ("pools: {main: {upstreams: '127.0.0.1:9001', "
            "service: {supervisor: g, socket: s, user: u, password: hunter2}}}\n")
    path = write(tmp_path, "lb.yml", text)
    os.chmod(path, 0o644)
    result = run("--check", "--config", "lb.yml")
    assert result.returncode == 0
    assert len(complaints(result)) == 1
    assert complaints(result)[0].startswith("lb.yml:1:100: warning: pools.main.service.password: every user can read")
    assert "hunter2" not in result.stdout + result.stderr
    again = write(tmp_path, "again.yml", result.stdout)
    os.chmod(path, 0o600)
    assert run("--check", "--config", "lb.yml").stderr == ""
    result = run("--check", "--config", again)
    assert result.returncode == 2
    assert "a user without a password, expected both or none" in result.stderr


def test_a_galaxy_is_found_as_galaxyctl_finds_it(run, tmp_path):
    (tmp_path / "run").mkdir(mode=0o755)
    path = write(tmp_path, "elsewhere.yml", GALAXY)
    result = run("--check", environment={"GRAVITY_CONFIG_FILE": path})
    assert result.returncode == 0, result.stderr
    assert f"# read {path}, named by environment variable GRAVITY_CONFIG_FILE" in result.stdout.splitlines()


def test_problems_of_a_galaxy(run, tmp_path):
    text = GALAXY.replace("supervisor", "multiprocessing").replace("run/gunicorn1", "run/gunicorn0")
    write(tmp_path, "galaxy.yml", text)
    result = run("--check", "--galaxy-config", "galaxy.yml")
    assert result.returncode == 2
    assert len(errors(result)) == 2
    assert "multiprocessing" in result.stderr and "the address of another gunicorn" in result.stderr


def test_several_galaxies_are_told_apart_by_their_prefixes(run, tmp_path):
    (tmp_path / "run").mkdir(mode=0o755)
    write(tmp_path, "one.yml", GALAXY.replace("gravity:\n", "gravity:\n  instance_name: one\n"))
    other = GALAXY.replace("gravity:\n", "gravity:\n  instance_name: two\n").replace("run/gunicorn", "run/other")
    write(tmp_path, "two.yml", other)
    files = ["--galaxy-config", "one.yml", "--galaxy-config", "two.yml"]
    result = run("--check", *files)
    assert result.returncode == 2
    assert "have the same url prefix '/galaxy'" in result.stderr
    write(tmp_path, "two.yml", other.replace("/galaxy\n", "/other\n"))
    result = run("--check", *files)
    assert result.returncode == 0, result.stderr
    routes = values(result.stdout)
    start = routes.index("routes:")
    assert routes[start + 1:start + 7] == [
        '  - host: "*"', "    path: /galaxy", "    pool: one",
        '  - host: "*"', "    path: /other", "    pool: two"]


def test_upstream_options_replace_the_pools_of_the_file(run, tmp_path):
    write(tmp_path, "lb.yml", "pools: {main: {upstreams: 'localhost:9001'}}\nroutes: [{pool: main}]\n")
    result = run("--check", "--config", "lb.yml", "--upstream", "localhost:9002")
    assert result.returncode == 2
    assert any("found the pool 'main', expected one of 'default'" in line for line in errors(result))
    write(tmp_path, "lb.yml", "pools: {main: {upstreams: 'localhost:9001'}}\n")
    result = run("--check", "--config", "lb.yml", "--upstream", "localhost:9002")
    assert result.returncode == 0
    assert "9001" not in result.stdout and "        address: localhost:9002" in result.stdout


class Running:
    """A galaxy-lb that serves, and its log."""

    def __init__(self, folder, *arguments):
        self.log = folder / "log"
        with open(self.log, "w", encoding="utf-8") as log:
            self.process = subprocess.Popen([BINARY, "--control", "off", *arguments], cwd=folder, stdin=subprocess.DEVNULL,
                                            stdout=subprocess.DEVNULL, stderr=log)

    def wait_for(self, text, seconds=30):
        """Waits until `text` is in the log."""
        end = time.monotonic() + seconds
        while text not in self.log.read_text():
            assert self.process.poll() is None, f"it ended with {self.process.returncode}:\n{self.log.read_text()}"
            assert time.monotonic() < end, f"{text!r} is not in the log:\n{self.log.read_text()}"
            time.sleep(0.02)

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self):
        self.signal(signal.SIGTERM)
        return self.process.wait(30)


def test_a_wrong_file_is_not_reloaded(tmp_path):
    settings = "listen: unix:public.sock\npools: {main: {upstreams: 'unix:upstream.sock'}}\n"
    write(tmp_path, "lb.yml", settings)
    running = Running(tmp_path, "--config", "lb.yml")
    try:
        running.wait_for("NOTICE listening address=unix:public.sock")
        write(tmp_path, "lb.yml", settings + "thread: 1\ntimeouts: {connect: x}\nrestart: {drian: {}}\n")
        running.signal(signal.SIGHUP)
        running.wait_for("ERROR configuration problem=\"lb.yml:3:1: error: unknown key 'thread' in galaxy-lb.yml")
        running.wait_for("ERROR configuration problem=\"lb.yml:4:21: error: timeouts.connect: found")
        running.wait_for("ERROR configuration problem=\"lb.yml:5:11: error: unknown key 'drian' in restart")
        assert "configuration reloaded" not in running.log.read_text()
        write(tmp_path, "lb.yml", settings + "log_level: debug\nrestart: {drain: {upload: 1h}}\n")
        running.signal(signal.SIGHUP)
        running.wait_for("NOTICE configuration reloaded")
        assert running.stop() == 0
    finally:
        running.process.kill()
        running.process.wait()


def test_an_address_that_is_taken_is_a_failure(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        running = Running(tmp_path, "--listen", address, "--upstream", "unix:upstream.sock")
        try:
            assert running.process.wait(30) == 1
        finally:
            running.process.kill()
            running.process.wait()
    assert "ERROR cannot start" in running.log.read_text()
