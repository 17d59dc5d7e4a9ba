"""The real Gravity with the stand-in for Galaxy of the demonstration, under a real supervisor or systemd."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from harness.files import replace
from harness.process import is_running
from harness.proxies import REPOSITORY
from harness.stream import eventually

from .deployment import VERSIONS, version_answered
from .systemd import UserSystemd

DEMONSTRATION = Path(REPOSITORY) / "Demonstration"
VIRTUAL_ENVIRONMENT = Path(sys.executable).parent.parent
SECONDS = 60.0


class Site:
    """A folder with Galaxy's layout, whose gunicorns run. `sockets` has those of each upstream, by POOL/NAME."""

    def __init__(self, manager, gravity, sockets):
        self.manager = manager
        self.folder = Path(tempfile.mkdtemp(prefix="gravity-"))
        self.sockets = {name: self.folder / socket for name, socket in sockets.items()}
        self.version = ""
        self.systemd = None
        self.has_supervisor = False
        try:
            self.lay_out(gravity)
            self.start()
        except BaseException:
            self.end()
            raise

    def lay_out(self, gravity):
        for name in ("lib", "scripts"):
            shutil.copytree(DEMONSTRATION / name, self.folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(DEMONSTRATION / "requirements.txt", self.folder)
        (self.folder / "config").mkdir()
        (self.folder / "database").mkdir()
        self.deploy()
        self.files = []
        for number, section in enumerate(gravity):
            common = {"process_manager": self.manager, "galaxy_root": str(self.folder),
                      "celery": {"enable": False, "enable_beat": False}}
            document = {"gravity": common | section, "galaxy": {"data_dir": f"{self.folder}/database"}}
            self.files.append(self.folder / f"config/galaxy{number}.yml")
            self.files[-1].write_text(json.dumps(document))
        self.environment = {
            "PATH": f"{VIRTUAL_ENVIRONMENT}/bin:{os.environ['PATH']}", "HOME": str(self.folder / "systemd/home"),
            # To root Gravity offers nothing but systemd for all, unless this is set.
            "GRAVITY_SKIP_SYSTEMD": "1", "GRAVITY_VIRTUALENV": str(VIRTUAL_ENVIRONMENT),
            "PYTHONDONTWRITEBYTECODE": "1", "XDG_RUNTIME_DIR": str(self.folder / "systemd/runtime"),
            "GRAVITY_SYSTEMD_UNIT_PATH": str(self.folder / "systemd/home/.config/systemd/user"),
        }
        if self.manager == "systemd":
            self.systemd = UserSystemd(self.folder / "systemd", self.environment)

    def start(self):
        self.has_supervisor = self.manager == "supervisor"
        self.galaxyctl("update")
        self.galaxyctl("start")
        for name, socket in self.sockets.items():
            eventually(lambda socket=socket: version_answered(socket), f"{name} answers", SECONDS, 0.05)

    def galaxyctl(self, *arguments, may_fail=False):
        """Runs the real galaxyctl on all files."""
        named = [word for file in self.files for word in ("--config-file", str(file))]
        with open(self.folder / "galaxyctl.log", "ab") as log:
            run = subprocess.run(
                [VIRTUAL_ENVIRONMENT / "bin/galaxyctl", *named, *arguments], cwd=self.folder, env=self.environment,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=SECONDS, check=False)
        assert may_fail or run.returncode == 0, (self.folder / "galaxyctl.log").read_text()

    def deploy(self):
        """Puts new code on disk, and returns its version."""
        number = next(VERSIONS)
        self.version = f"26.{number}.0"
        module = f'VERSION_MAJOR = "26.{number}"\nVERSION_MINOR = "0"\nVERSION = "{self.version}"\n'
        replace(self.folder / "lib/galaxy/version.py", module)
        return self.version

    @property
    def prefix(self):
        """What galaxy-lb is run with so that it finds what Gravity has started."""
        if self.systemd:
            return self.systemd.prefix
        return ["env", *(f"{name}={value}" for name, value in self.environment.items())]

    def incarnations(self):
        """What tells each gunicorn from the one that was there before it: its socket is another file."""
        status = {name: socket.stat() for name, socket in self.sockets.items() if socket.exists()}
        return {name: (found.st_ino, found.st_mtime_ns) for name, found in status.items()}

    def executions(self):
        """How often each POST was carried out, by its key."""
        folder = self.folder / "database/executions"
        return {file.name: file.stat().st_size for file in folder.iterdir()} if folder.exists() else {}

    def end(self):
        """Ends everything."""
        if self.has_supervisor:
            pid_files = list(self.folder.rglob("supervisord.pid"))
            pids = [int(file.read_text()) for file in pid_files]
            self.galaxyctl("shutdown", may_fail=True)
            eventually(lambda: not any(map(is_running, pids)), "supervisord has ended", SECONDS)
        if self.systemd:
            self.systemd.end()
        shutil.rmtree(self.folder)
