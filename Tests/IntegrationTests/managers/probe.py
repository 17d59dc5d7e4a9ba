"""The drivers of process managers, driven through the process-manager-probe executable of the package."""

import functools
import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

TREE = Path(__file__).resolve().parents[3]
SCRATCH = TREE / "build" / "probe"
# A bound on whatever a test waits for; nothing takes that long.
SECONDS = 60.0


@functools.cache
def probe_path() -> Path:
    """The executable that PROCESS_MANAGER_PROBE names, or one that is built now."""
    if given := os.environ.get("PROCESS_MANAGER_PROBE"):
        return Path(given)
    command = ["swift", "build", "--product", "process-manager-probe", "--jobs", "2", "--scratch-path", SCRATCH]
    built = subprocess.run(command, cwd=TREE, capture_output=True, text=True, timeout=600)
    assert built.returncode == 0, built.stdout + built.stderr
    return SCRATCH / "debug" / "process-manager-probe"


class Probe:
    """Asks the driver of one process manager (see Tests/ProcessManagerProbe/main.swift)."""

    def __init__(self, manager: str, prefix: tuple[str, ...] = (), **options: Any) -> None:
        """Takes the manager, what to run the probe with, and options of subprocess.run."""
        self._manager = manager
        self._prefix = prefix
        self._options = options

    def __call__(self, operation: str, target: str = "", seconds: float = SECONDS) -> dict[str, Any]:
        """The report on one operation."""
        command = [*self._prefix, probe_path(), self._manager, operation, target, str(seconds)]
        run = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=2 * SECONDS, **self._options
        )
        assert run.returncode == 0, f"{command}: {run.returncode}\n{run.stdout}{run.stderr}"
        return json.loads(run.stdout)

    def until(self, target: str, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Looks at the unit again and again until it is as wanted."""
        deadline = time.monotonic() + SECONDS
        while True:
            status = self("inspect", target)
            if condition(status):
                return status
            assert time.monotonic() < deadline, status
            time.sleep(0.02)


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Waits until it holds."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def is_running(process: int) -> bool:
    """Whether there is such a process, zombies not counted."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return False
    return fields[0] != "Z"


def end(process: subprocess.Popen) -> None:
    """Ends a program that was started here."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(SECONDS / 2)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(SECONDS / 2)
