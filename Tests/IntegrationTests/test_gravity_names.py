"""The real Gravity and `galaxy-lb --check` read the same files, and must agree on every name and place.

Gravity writes its supervisor or systemd configuration into a folder of the test's own, and starts no service. The names
are then those that supervisor itself derives from what Gravity wrote, or those of units that systemd knows; the
addresses are what gunicorn itself makes of the command line that Gravity would run.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml
from gunicorn.util import parse_address

REPOSITORY = Path(__file__).resolve().parents[2]
FIXTURES = REPOSITORY / "Tests" / "GravityRestartTests" / "Fixtures"
GALAXY_LB = os.environ.get("GALAXY_LB", str(REPOSITORY / ".build" / "release" / "galaxy-lb"))
GALAXYCTL = str(Path(sys.executable).parent / "galaxyctl")
SECONDS = 60

# Galaxy 22.01's Gravity took a bare path for a socket, which gunicorn does not; today's Gravity refuses an `extra_args`
# without a value, and needs none of it for names.
NOT_COMPARED = {"documentation/scaling-22.01-socket.yml", "documentation/scaling.yml"}
OWN_MANAGER = {"documentation/multiple-galaxies.yml"}

pytestmark = [pytest.mark.galaxy_lb, pytest.mark.timeout(5 * SECONDS)]


@dataclass
class Site:
    """A folder with Galaxy's layout and an environment that keeps Gravity inside of it."""

    root: Path
    manager: str
    environment: dict = field(default_factory=dict)
    files: list = field(default_factory=list)

    def __post_init__(self):
        for folder in ("lib/galaxy", "config", "home", "runtime"):
            (self.root / folder).mkdir(parents=True)
        (self.root / "runtime").chmod(0o700)
        self.environment = {
            "PATH": os.environ["PATH"], "HOME": str(self.root / "home"),
            "XDG_RUNTIME_DIR": str(self.root / "runtime"),
            # Tests run as root in a container; Gravity then takes root for an ordinary user.
            "GRAVITY_SKIP_SYSTEMD": "1", "GRAVITY_VIRTUALENV": str(self.root / "venv"),
            "GRAVITY_PROCESS_MANAGER": self.manager,
            "GRAVITY_SYSTEMD_UNIT_PATH": str(self.root / "units"),
        }

    def write(self, path, text, is_named=True):
        """Writes a file, and names it to both programs."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.replace("/srv/galaxy", str(self.root)), encoding="utf-8")
        if is_named:
            self.files.append(path)

    def run(self, *command, may_fail=False):
        """Runs a program in this site's environment; returns what it printed on both streams."""
        result = subprocess.run(
            command, cwd=self.root, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=SECONDS, check=False)
        assert may_fail or result.returncode == 0, f"{command}: {result.returncode}\n{result.stdout}{result.stderr}"
        return result

    def galaxyctl(self, *arguments, may_fail=False):
        """Runs the real galaxyctl on the site's files."""
        named = [word for file in self.files for word in ("--config-file", file)]
        return self.run(GALAXYCTL, *named, *arguments, may_fail=may_fail)


@dataclass(frozen=True)
class Gunicorn:
    """One gunicorn as far as both sides know it."""

    unit: str
    address: tuple


def test_programs_are_there():
    assert os.access(GALAXY_LB, os.X_OK), GALAXY_LB
    assert os.access(GALAXYCTL, os.X_OK), GALAXYCTL


# What galaxy-lb says.


def checked(site):
    """The gunicorns by Galaxy, and where the process manager of each is, as `--check` prints them."""
    named = [word for file in site.files for word in ("--galaxy-config", file)]
    text = site.run(GALAXY_LB, "--check", *named).stdout
    pools = yaml.safe_load(text)["pools"]
    places = re.findall(r"^ +# process manager: (.+)$", text, re.MULTILINE)
    galaxies = {}
    for name, pool in pools.items():
        gunicorns = []
        for upstream in pool["upstreams"]:
            unit = upstream["service"][site.manager]
            gunicorns.append(Gunicorn(unit, endpoint(upstream["address"], site.root)))
        galaxies[name] = gunicorns
    assert len(places) == len(pools)
    return galaxies, places


# What Gravity, supervisor and gunicorn say.


SUPERVISOR_NAMES = """
import json, sys
from supervisor.options import ServerOptions
options = ServerOptions()
options.realize(["-c", sys.argv[1]])
print(json.dumps([[group.name, process.name] for group in options.process_group_configs
                  for process in group.process_configs]))
"""


def supervisor_units(site):
    """The programs as supervisor names them from Gravity's files, and the folder of these files."""
    written = site.galaxyctl("update")
    folders = [path.parent for path in site.root.rglob("supervisord.conf.d")]
    assert len(folders) == 1, f"{folders}\n{written.stdout}{written.stderr}"
    folder = folders[0]
    # The parts of what Gravity writes when it starts supervisor that decide names.
    configuration = folder / "supervisord.conf"
    configuration.write_text(
        "[supervisord]\n[include]\nfiles = supervisord.conf.d/*.d/*.conf supervisord.conf.d/*.conf\n",
        encoding="utf-8")
    for path in folder.rglob("*.conf"):
        # supervisor wants the folder of the logs, which Gravity makes only for those it starts.
        for log in re.findall(r"^stdout_logfile *= *(.+)$", path.read_text(encoding="utf-8"), re.MULTILINE):
            Path(log).parent.mkdir(parents=True, exist_ok=True)
    names = json.loads(site.run(sys.executable, "-c", SUPERVISOR_NAMES, str(configuration)).stdout)
    units = [process if group == process else f"{group}:{process}" for group, process in names]
    return units, folder


def systemd_units(site):
    """The units as Gravity's targets want them; systemd knows each."""
    site.galaxyctl("update")
    units = []
    for target in sorted((site.root / "units").glob("*.target")):
        (wants,) = re.findall(r"^Wants=(.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
        units += wants.split()
    assert units
    for unit in units:
        file = site.root / "units" / re.sub(r"@\d+", "@", unit)
        site.run("systemctl", "--user", "link", str(file))
        assert site.run("systemctl", "--user", "show", "--property=LoadState", unit).stdout == "LoadState=loaded\n"
    return units


def gunicorn_units(units):
    """Those of gunicorns among a Galaxy's services."""
    return sorted(unit for unit in units if re.search(r"gunicorn[@\d:_]*", unit))


def executed_address(site, galaxy, service, number):
    """Where a gunicorn listens that Gravity would run: its own reading of its own command line."""
    instance = [] if number is None else ["--service-instance", str(number)]
    named = [] if galaxy == "_default_" and len(site.files) == 1 else [galaxy]
    output = site.galaxyctl("exec", "--no-exec", *instance, *named, service).stdout
    (folder,) = re.findall(r"Working directory: (.+?)(?:\x1b.*)?$", output, re.MULTILINE)
    (bind,) = re.findall(r" -b (\S+) ", output)
    return endpoint(bind, site.root / folder)


def endpoint(text, folder):
    """An address as gunicorn reads it, relative to where it runs, with what reaches every address as loopback."""
    address = parse_address(text)
    if isinstance(address, str):
        return ("unix", os.path.join(folder, address))
    host, port = address
    return ("tcp", {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port)


def service_and_number(unit, is_instance):
    """What galaxyctl wants to hear for a unit."""
    name = re.sub(r"\.service$", "", unit)
    if not is_instance:
        return re.search(r"gunicorn\d*$", name).group(), None
    return "gunicorn", int(re.search(r"\d+$", name).group())


def compare(site):
    """Fails unless Gravity and galaxy-lb agree on the site."""
    galaxies, places = checked(site)
    if site.manager == "supervisor":
        units, folder = supervisor_units(site)
        assert set(places) == {f"supervisor at {folder}/supervisor.sock"}
    else:
        units = systemd_units(site)
        assert set(places) == {f"systemd of the user, units in {site.root}/units"}
    found = sorted(gunicorn.unit for gunicorns in galaxies.values() for gunicorn in gunicorns)
    assert found == gunicorn_units(units)
    for name, gunicorns in galaxies.items():
        is_instance = len(gunicorns) > 1 and uses_instances(site, name)
        for gunicorn in gunicorns:
            service, number = service_and_number(gunicorn.unit, is_instance)
            assert gunicorn.address == executed_address(site, name, service, number)


def uses_instances(site, galaxy):
    """True if several gunicorns of a Galaxy are instances of one service: Gravity's own list says so."""
    command = ["exec", "--no-exec", *([galaxy] if len(site.files) > 1 else []), "gunicorn"]
    return "--service-instance" in site.galaxyctl(*command, may_fail=True).stderr


def names_of_fixtures():
    files = sorted(str(path.relative_to(FIXTURES)) for path in FIXTURES.rglob("*.yml"))
    assert set(files) >= NOT_COMPARED | OWN_MANAGER
    return [file for file in files if file not in NOT_COMPARED | OWN_MANAGER]


class UserSystemd:
    """A real `systemd --user` of a site's own, in a mount namespace where it finds the traces of a booted systemd."""

    COMMAND = "mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/system && exec /lib/systemd/systemd --user"

    def __init__(self, site):
        self.site = site
        with open(site.root / "systemd.log", "wb") as log:
            self.child = subprocess.Popen(
                ["unshare", "--mount", "--propagation", "private", "sh", "-c", self.COMMAND],
                env=site.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + SECONDS
        while site.run("systemctl", "--user", "show-environment", may_fail=True).returncode != 0:
            if self.child.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise AssertionError(f"systemd does not answer:\n{(site.root / 'systemd.log').read_text()}")

    def stop(self):
        """Ends it, and all that it started with it."""
        self.child.send_signal(signal.SIGTERM)
        try:
            self.child.wait(SECONDS)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait(SECONDS)
            raise


@pytest.fixture
def make_site(tmp_path):
    """Makes a site under a process manager; what runs in it is stopped at the end."""
    started = []

    def make(manager):
        site = Site(tmp_path / "s", manager)
        if manager == "systemd":
            started.append(UserSystemd(site))
        return site

    yield make
    for systemd in started:
        systemd.stop()


@pytest.fixture(params=["supervisor", "systemd"])
def site(request, make_site):
    """A site under each of the process managers."""
    return make_site(request.param)


@pytest.mark.parametrize("name", names_of_fixtures())
def test_fixture(site, name):
    site.write("config/galaxy.yml", (FIXTURES / name).read_text(encoding="utf-8"))
    compare(site)


def test_several_galaxies_in_one_file(make_site):
    site = make_site("systemd")
    text = (FIXTURES / "documentation" / "multiple-galaxies.yml").read_text(encoding="utf-8")
    site.write("gravity.yml", text)
    for galaxy in ("test", "main"):
        site.write(f"{galaxy}/config/galaxy.yml", f"galaxy: {{galaxy_url_prefix: /{galaxy}}}\n", is_named=False)
    galaxies, _ = checked(site)
    found = sorted(gunicorn.unit for gunicorns in galaxies.values() for gunicorn in gunicorns)
    assert found == gunicorn_units(systemd_units(site))
    for name in ("test", "main"):
        (gunicorn,) = galaxies[name]
        assert gunicorn.address == executed_address(site, name, "gunicorn", None)


def test_several_files(site):
    site.write(
        "a/config/galaxy.yml",
        "gravity: {galaxy_root: /srv/galaxy/a, gunicorn: {bind: 'unix:g.sock'}}\ngalaxy: {galaxy_url_prefix: /a}\n")
    site.write(
        "b/config/galaxy.yml",
        "gravity:\n  instance_name: b\n  galaxy_root: /srv/galaxy/b\n"
        "  gunicorn: [{bind: 'localhost:1'}, {bind: 'localhost:2'}]\ngalaxy: {}\n")
    compare(site)


def test_split_files(site):
    site.write("config/gravity.yml", "gravity: {galaxy_config_file: options/galaxy.yml, galaxy_root: /srv/galaxy}\n")
    site.write("config/options/galaxy.yml", "galaxy: {data_dir: var/data}\n", is_named=False)
    compare(site)


def test_relative_root(make_site):
    site = make_site("supervisor")
    site.write("config/galaxy.yml", "gravity: {galaxy_root: code, gunicorn: {bind: 'unix:g'}}\ngalaxy: {}\n")
    compare(site)
    warnings = site.run(GALAXY_LB, "--check", "--galaxy-config", *site.files).stderr
    assert "warning: galaxy_root 'code' is relative" in warnings


@pytest.mark.parametrize("bind", [
    "localhost", "127.0.0.1", "LOCALHOST:81", "tcp://127.0.0.1:81", "'[::1]:8080'", "'[::1]'", "':8080'", "0.0.0.0",
    "'[::]:8080'", "unix:/run/g.sock", "unix:///run/g.sock", "unix:var/g.sock", "'unix://var/g.sock'"])
def test_bind(make_site, bind):
    site = make_site("supervisor")
    site.write("config/galaxy.yml", f"gravity: {{gunicorn: {{bind: {bind}}}}}\ngalaxy: {{}}\n")
    compare(site)


@pytest.mark.parametrize("variables", [
    {"GRAVITY_INSTANCE_NAME": "named"},
    {"gravity_instance_name": "named"},
    {"GRAVITY_STATE_DIR": "elsewhere"},
    {"GRAVITY_GALAXY_ROOT": "/srv/galaxy/code", "GRAVITY_GUNICORN.BIND": "unix:g.sock"},
    {"GALAXY_ROOT_DIR": "code"},
    {"GRAVITY_GUNICORN": '{"bind": "unix:/run/j.sock"}'},
    {"GRAVITY_GUNICORN": '{"bind": "unix:/run/j.sock"}', "GRAVITY_GUNICORN.BIND": "unix:/run/d.sock"},
    {"GRAVITY_GUNICORN": '[{"bind": "unix:/run/0.sock"}, {"enable": "no"}, {"bind": "unix:/run/1.sock"}]'},
    {"GRAVITY_USE_SERVICE_INSTANCES": "off",
     "GRAVITY_GUNICORN": '[{"bind": "unix:/run/0.sock"}, {"enable": 0}, {"bind": "unix:/run/1.sock"}]'},
    {"GRAVITY_SERVICE_COMMAND_STYLE": "direct", "GRAVITY_GUNICORN": '[{"bind": "unix:/run/0.sock"}]'},
], ids=lambda variables: "+".join(variables))
def test_environment(site, variables):
    site.environment |= {name: value.replace("/srv/galaxy", str(site.root)) for name, value in variables.items()}
    site.write("config/galaxy.yml", "gravity: {}\ngalaxy: {data_dir: var}\n")
    compare(site)
