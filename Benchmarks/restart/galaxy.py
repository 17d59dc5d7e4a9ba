"""A Galaxy with two real gunicorns under the real Gravity and supervisor, and deploys of new code to it."""

import http.client
import json
import shutil
import subprocess
import sys
from pathlib import Path

from processes import wait_until
from stand_in import Failure, UnixConnection, answers, environment, lay_out, state_directory

HERE = Path(__file__).resolve().parent
VIRTUAL_ENVIRONMENT = Path(sys.executable).parent.parent
START_SECONDS = 120.0
STOP_SECONDS = 90.0

CONFIGURATION = """gravity:
  process_manager: supervisor
  gunicorn:
{gunicorns}
  celery: {{enable: false, enable_beat: false}}

galaxy:
  data_dir: database
"""
GUNICORN = """    - bind: unix:{path}
      workers: 2
      preload: {preload}
      start_timeout: {start_timeout}
      restart_timeout: {restart_timeout}
      environment: {{BOOT_SECONDS: "{boot_seconds}"}}
"""
BROKEN = '''
import os, time
from pathlib import Path
time.sleep({after})
with (Path(os.environ["GALAXY_CONFIG_FILE"]).resolve().parent.parent / "first-failure").open("a") as file:
    file.write(f"{{time.time()}}\\n")
raise ImportError("this deploy is broken")
'''


class Galaxy:
    """The site. Whoever makes one calls `stop` in any case."""

    def __init__(self, preload, boot_seconds=5.0, start_timeout=2, restart_timeout=60):
        self.folder = state_directory()
        self.environment = environment(VIRTUAL_ENVIRONMENT)
        self.sockets = [self.folder / "database" / f"gunicorn{number}.sock" for number in range(2)]
        self.programs = [f"gunicorn:gunicorn_{number}" for number in range(2)]
        self.configuration = self.folder / "config" / "galaxy.yml"
        lay_out(self.folder)
        shutil.copytree(HERE / "lib", self.folder / "lib", dirs_exist_ok=True)
        self._factory = self.folder / "lib" / "galaxy" / "webapps" / "galaxy" / "fast_factory.py"
        gunicorns = "".join(GUNICORN.format(
            path=path, preload=str(preload).lower(), start_timeout=start_timeout, restart_timeout=restart_timeout,
            boot_seconds=boot_seconds) for path in self.sockets)
        self.configuration.write_text(CONFIGURATION.format(gunicorns=gunicorns), encoding="utf-8")
        self.deploy(0)

    def start(self):
        """Returns when both answer."""
        for verb in ("update", "start"):
            ended = self.galaxyctl(verb)
            if ended.returncode:
                raise Failure(f"galaxyctl {verb}: exit status {ended.returncode}\n{ended.stdout}")
        for path in self.sockets:
            if not wait_until(lambda path=path: self.answers(path), START_SECONDS):
                raise Failure(f"{path.name} does not answer")

    def stop(self):
        """Ends supervisor with its gunicorns, and removes the folder."""
        if (self.folder / "database/gravity/supervisor/supervisord.pid").exists():
            self.galaxyctl("shutdown", seconds=STOP_SECONDS)
        shutil.rmtree(self.folder, ignore_errors=True)

    def deploy(self, number):
        """Puts the code of another version in place, without restarting anything."""
        text = f'VERSION_MAJOR = "26.1"\nVERSION_MINOR = "{number}"\nVERSION = f"{{VERSION_MAJOR}}.{{VERSION_MINOR}}"\n'
        # Whole or not at all: a worker may be importing it.
        new = self.folder / "lib" / "galaxy" / "version.py.new"
        new.write_text(text, encoding="utf-8")
        new.replace(new.with_suffix(""))

    def deploy_broken(self, number, after):
        """The same with code that raises so many seconds after its import has begun."""
        self.deploy(number)
        self._factory.write_text(BROKEN.format(after=after), encoding="utf-8")

    def first_failure(self):
        """When broken code raised for the first time, by the clock of time.time(); None if it has not."""
        try:
            return float((self.folder / "first-failure").read_text(encoding="ascii").split()[0])
        except FileNotFoundError:
            return None

    def galaxyctl(self, *words, seconds=600.0):
        """Runs it to its end; the two streams of what it says are one."""
        return self.run(
            VIRTUAL_ENVIRONMENT / "bin" / "galaxyctl", "--config-file", self.configuration, *words, seconds=seconds)

    def supervisorctl(self, *words, seconds=600.0):
        """The same with supervisorctl and the configuration that Gravity has written."""
        configuration = self.folder / "database/gravity/supervisor/supervisord.conf"
        return self.run(VIRTUAL_ENVIRONMENT / "bin" / "supervisorctl", "-c", configuration, *words, seconds=seconds)

    def run(self, *command, seconds):
        """Runs a program in the environment of the site."""
        return subprocess.run(
            command, env=self.environment, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=seconds, check=False)

    def answers(self, path):
        """Whether Galaxy answers on the socket."""
        return answers(UnixConnection(path, 5))

    def version(self, path):
        """The version that answers there, None for no answer."""
        connection = UnixConnection(path, 5)
        try:
            connection.request("GET", "/api/version")
            fields = json.loads(connection.getresponse().read())
            return f"{fields['version_major']}.{fields['version_minor']}"
        except (OSError, http.client.HTTPException, ValueError, KeyError):
            return None
        finally:
            connection.close()

    def executed(self):
        """The identities of the POSTs that were carried out, as often as they were."""
        path = self.folder / "database" / "executed"
        return [int(line) for line in path.read_text(encoding="ascii").split()] if path.exists() else []
