"""A real systemd in user mode, in a mount namespace where it finds the traces of a booted systemd."""

import os
import subprocess
from pathlib import Path

from harness.stream import eventually

SECONDS = 40.0
COMMAND = "mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/system && exec /lib/systemd/systemd --user"


class UserSystemd:
    """A `systemd --user` with its home, its units and its socket in a folder."""

    def __init__(self, folder, environment=()):
        self.folder = Path(folder)
        self.units = self.folder / "home/.config/systemd/user"
        self.units.mkdir(parents=True)
        (self.folder / "runtime").mkdir(mode=0o700)
        self.environment = {
            "PATH": os.environ["PATH"], "HOME": str(self.folder / "home"),
            "XDG_RUNTIME_DIR": str(self.folder / "runtime")} | dict(environment)
        with open(self.folder / "systemd.log", "wb") as log:
            self.process = subprocess.Popen(
                ["unshare", "--mount", "--propagation", "private", "sh", "-c", COMMAND],
                env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            eventually(self.is_up, "systemd answers", SECONDS, 0.05)
        except AssertionError as failure:
            self.end()
            raise AssertionError(f"{failure}\n{(self.folder / 'systemd.log').read_text()}") from None

    def is_up(self):
        assert self.process.poll() is None
        return self.systemctl("show-environment", may_fail=True).returncode == 0

    @property
    def prefix(self):
        """What a program is run with so that it finds this systemd."""
        variables = [f"{name}={value}" for name, value in self.environment.items()]
        return ["nsenter", f"--target={self.process.pid}", "--mount", "env", *variables]

    def systemctl(self, *arguments, may_fail=False):
        run = subprocess.run(
            ["systemctl", "--user", *arguments], env=self.environment, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, timeout=SECONDS, check=False)
        assert may_fail or run.returncode == 0, f"{arguments}: {run.stderr}"
        return run

    def write_unit(self, name, text):
        (self.units / name).write_text(text)
        self.systemctl("daemon-reload")

    def end(self):
        """Ends it, and all that it started with it."""
        self.process.terminate()
        try:
            self.process.wait(SECONDS)
        except subprocess.TimeoutExpired as failure:
            jobs = self.systemctl("list-jobs", may_fail=True).stdout
            self.process.kill()
            self.process.wait(SECONDS)
            raise AssertionError(f"{failure}\n{jobs}\n{(self.folder / 'systemd.log').read_text()}") from None
