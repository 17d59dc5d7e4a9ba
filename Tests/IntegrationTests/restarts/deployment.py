"""Services that are restarted, as a Galaxy's configuration describes them, and what runs them."""

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import xmlrpc.client
from contextlib import suppress
from pathlib import Path

from harness.control import UnixConnection
from harness.files import replace
from harness.process import is_running
from harness.stream import eventually
from supervisor.xmlrpc import SupervisorTransport

SERVICE = Path(__file__).parent / "service.py"
SUPERVISORD = Path(sys.executable).parent / "supervisord"
SECONDS = 30.0
POOL = "main"
VERSIONS = itertools.count(1)


def version_answered(socket):
    """What a Galaxy behind a unix socket answers to be its version; None if it answers nothing good."""
    connection = UnixConnection(str(socket))
    try:
        connection.connect()
        connection.sock.settimeout(2)
        connection.request("GET", "/api/version")
        response = connection.getresponse()
        content = json.loads(response.read())
        return f"{content['version_major']}.{content['version_minor']}" if response.status == 200 else None
    except (OSError, ValueError):
        return None
    finally:
        connection.close()


class Deployment:
    """Some services in a folder that is laid out as Galaxy's root. Upstream `gunicornN` of pool `main` is service N."""

    def __init__(self, count):
        self.folder = Path(tempfile.mkdtemp(prefix="restart-"))
        self.folder.chmod(0o755)
        self.count = count
        self.version = ""
        (self.folder / "lib/galaxy").mkdir(parents=True)
        self.deploy()
        for number in range(count):
            self.make_startable(number)

    @property
    def service(self):
        """How the pool's upstreams are restarted, for galaxy-lb.yml."""
        raise NotImplementedError

    def start(self, number):
        """Starts a service that is down; it need not answer yet."""
        raise NotImplementedError

    def deploy(self):
        """Puts new code on disk, and returns its version."""
        self.version = f"24.{next(VERSIONS)}.0"
        major, _, minor = self.version.rpartition(".")
        replace(self.folder / "lib/galaxy/version.py", f'VERSION_MAJOR = "{major}"\nVERSION_MINOR = "{minor}"\n')
        return self.version

    def make_startable(self, number, can_be=True):
        """Puts the program of a service in its place, or takes it away. One that is there is left alone: a process
        manager may be starting it, and the kernel lets nobody write to a file meanwhile (ETXTBSY)."""
        program = self.folder / f"g{number}.run"
        if not can_be:
            program.unlink()
        elif not program.exists():
            program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S -E "{SERVICE}" "{self.folder}" g{number}\n')
            program.chmod(0o755)

    def knob(self, number, name):
        """A file that decides what a service does, see service.py."""
        return self.folder / f"g{number}.{name}"

    @property
    def held_requests(self):
        """While this file is there, requests to /held are not answered."""
        return self.folder / "hold-requests"

    def socket(self, number):
        return self.folder / f"g{number}.sock"

    def pid(self, number):
        return int((self.folder / f"g{number}.pid").read_text())

    def pids(self):
        return [self.pid(number) for number in range(self.count)]

    def answered(self, number):
        """The version that a service answers."""
        return version_answered(self.socket(number))

    def begin(self):
        """Starts all services; leaves nothing running when that fails."""
        try:
            self.reset()
        except BaseException:
            self.end()
            raise

    def reset(self):
        """All services run and behave; what a test has done to them is over."""
        for knob in ("exit", "delay", "hold-boot", "mute", "old", "hold-stop"):
            for number in range(self.count):
                self.knob(number, knob).unlink(missing_ok=True)
        self.held_requests.unlink(missing_ok=True)
        for number in range(self.count):
            self.make_startable(number)
            self.bring_up(number)
        for number in range(self.count):
            eventually(lambda number=number: self.answered(number), f"service {number} answers", SECONDS)

    def bring_up(self, number):
        """Starts a service that does not answer, and may run nevertheless."""
        if not self.answered(number):
            self.start(number)

    def galaxy_configuration(self, path, count, **gravity):
        """Writes a galaxy.yml with the first so many services. JSON is YAML."""
        gunicorns = [{"bind": f"unix:{self.socket(number)}"} for number in range(count)]
        document = {"process_manager": "supervisor", "instance_name": POOL, "galaxy_root": str(self.folder),
                    "gunicorn": gunicorns, "celery": {"enable": False}}
        path.write_text(json.dumps({"gravity": document | gravity, "galaxy": {"data_dir": str(self.folder)}}))
        return path

    def executed(self):
        """The paths of all POSTs that were carried out."""
        with suppress(FileNotFoundError):
            return (self.folder / "executed").read_text().split()
        return []

    def end(self):
        """Ends everything."""
        pids = [int(file.read_text()) for file in self.folder.glob("*.pid")]
        for pid in filter(is_running, pids):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        eventually(lambda: not any(map(is_running, pids)), f"no process of {pids} is left", SECONDS)
        shutil.rmtree(self.folder)


class Supervised(Deployment):
    """Under a real supervisord."""

    CONFIGURATION = """
[unix_http_server]
file = {folder}/supervisor.sock
[supervisord]
logfile = {folder}/supervisord.log
pidfile = {folder}/supervisord.pid
childlogdir = {folder}
nodaemon = true
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[group:galaxy]
programs = {programs}
"""
    PROGRAM = """
[program:g{number}]
command = {folder}/g{number}.run
startsecs = 1
startretries = 1
autorestart = true
stopwaitsecs = 60
redirect_stderr = true
stdout_logfile = {folder}/g{number}.log
"""

    def __init__(self, count):
        super().__init__(count)
        programs = ",".join(f"g{number}" for number in range(count))
        configuration = self.folder / "supervisord.conf"
        configuration.write_text(
            self.CONFIGURATION.format(folder=self.folder, programs=programs)
            + "".join(self.PROGRAM.format(folder=self.folder, number=number) for number in range(count)))
        self.process = subprocess.Popen(
            [SUPERVISORD, "-c", configuration], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT)
        try:
            eventually(self.is_up, "supervisord answers", SECONDS)
            self.reset()
        except BaseException:
            self.end()
            raise

    @property
    def interface(self):
        """supervisor's XML-RPC interface, by a connection of its own: an earlier one may have been cut."""
        transport = SupervisorTransport(None, None, f"unix://{self.folder}/supervisor.sock")
        return xmlrpc.client.ServerProxy("http://supervisor", transport=transport).supervisor

    def is_up(self):
        assert self.process.poll() is None, (self.folder / "supervisord.log").read_text()
        try:
            return self.interface.getState()["statename"] == "RUNNING"
        except OSError:
            return False

    @property
    def service(self):
        return {"supervisor": "galaxy:g%i", "socket": str(self.folder / "supervisor.sock")}

    def state(self, number):
        """The word that supervisor has for the state of a program."""
        return self.interface.getProcessInfo(f"galaxy:g{number}")["statename"]

    def start(self, number):
        eventually(lambda: self.state(number) != "STOPPING", "it has stopped", SECONDS)
        if self.state(number) not in ("STARTING", "RUNNING"):
            self.interface.startProcess(f"galaxy:g{number}", False)

    def bring_up(self, number):
        if not self.answered(number) and self.state(number) == "RUNNING":
            self.stop(number)
        super().bring_up(number)

    def stop(self, number):
        self.interface.stopProcess(f"galaxy:g{number}", True)

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(SECONDS)
        super().end()


class Commanded(Deployment):
    """Each on its own, restarted by a script."""

    SCRIPT = """#!/bin/sh
set -e
cd "$(dirname "$0")"
number=${GALAXY_LB_UPSTREAM#gunicorn}
name=g${number:-0}
env | sort > $name.environment
echo "$GALAXY_LB_ACTION of $GALAXY_LB_UPSTREAM"
if [ -e $name.command ]; then . ./$name.command; fi
if [ -e $name.pid ] && [ "$GALAXY_LB_ACTION" = restart ]; then
  pid=$(cat $name.pid)
  kill $pid || true
  # Of a process that nobody has waited for yet this is gone, too.
  while [ -e /proc/$pid/exe ]; do sleep 0.02; done
fi
setsid ./$name.run > $name.log 2>&1 < /dev/null &
"""

    def __init__(self, count):
        super().__init__(count)
        self.script = self.folder / "restart"
        self.script.write_text(self.SCRIPT)
        self.script.chmod(0o755)
        self.begin()

    @property
    def service(self):
        return {"command": [str(self.script)]}

    def start(self, number):
        variables = {"PATH": os.environ["PATH"], "GALAXY_LB_UPSTREAM": f"gunicorn{number}",
                     "GALAXY_LB_ACTION": "restart"}
        subprocess.run([self.script], env=variables, stdout=subprocess.DEVNULL, timeout=SECONDS, check=True)

    def stop(self, number):
        os.kill(self.pid(number), signal.SIGTERM)
        eventually(lambda: not is_running(self.pid(number)), "it has ended", SECONDS)

    def reset(self):
        for file in self.folder.glob("*.command"):
            file.unlink()
        super().reset()
