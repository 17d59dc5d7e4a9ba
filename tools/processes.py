"""The processes below this one, found by parentage and ended by process id.

A daemon leaves its parent, its process group and its session. Linux hands it to the nearest ancestor that asked for
orphans (prctl(2), PR_SET_CHILD_SUBREAPER), so after `adopt_orphans` everything that was started from here stays
findable as a descendant.
"""

import ctypes
import os
import signal
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Makes this process the parent of each descendant whose own parent ends. Raises OSError if Linux refuses."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Waits for the condition, at most so long, and tells whether it came true."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def descendants(awaited: Collection[int] = ()) -> dict[int, str]:
    """The living processes below this one: process id and command line.

    Children that have ended are reaped on the way, except those in `awaited`: these belong to somebody who asks for
    their exit status.
    """
    children: dict[int, list[int]] = {}
    ended: set[int] = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        # A process may end while it is read.
        with suppress(OSError):
            # proc_pid_stat(5): the command name in parentheses may hold anything, the fields after it don't.
            state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            children.setdefault(int(parent), []).append(int(entry.name))
            if state in "ZX":
                ended.add(int(entry.name))
    for process in children.get(os.getpid(), []):
        if process in ended and process not in awaited:
            with suppress(ChildProcessError):
                os.waitpid(process, os.WNOHANG)
    found: dict[int, str] = {}
    level = children.get(os.getpid(), [])
    while level:
        found |= {process: _command(process) for process in level if process not in ended}
        level = [child for process in level for child in children.get(process, [])]
    return found


def _command(process: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{process}/cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ").decode(errors="replace")
    return "?"


def end_descendants(grace: float, awaited: Collection[int] = ()) -> dict[int, str]:
    """Ends every process below this one: SIGTERM, and SIGKILL after `grace` seconds.

    Returns those that were there. Raises RuntimeError if one can't be ended, which only the kernel can prevent.
    """
    found: dict[int, str] = {}
    for number, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, 10.0)):
        remaining = descendants(awaited)
        found |= remaining
        for process in remaining:
            with suppress(ProcessLookupError):
                os.kill(process, number)
        if wait_until(lambda: not descendants(awaited), seconds):
            return found
    raise RuntimeError(f"can't be ended: {descendants(awaited)}")
