"""A program under test: started, watched and stopped by its process id."""

import functools
import os
import shutil
import signal
import subprocess
import time

from .stream import eventually

FATAL_MARKS = (b"Fatal error", b"AddressSanitizer", b"ThreadSanitizer", b"LeakSanitizer",
               b"*** Signal", b"worker process exited on signal", b"segfault")


class Program:
    """A child process with its standard error in a file."""

    def __init__(self, command, log_path, environment=None):
        self.command = command
        self.log_path = log_path
        with open(log_path, "wb") as log:
            self.child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=environment, start_new_session=True,
            )
        self.pid = self.child.pid

    def log(self):
        with open(self.log_path, "rb") as log:
            return log.read()

    def alive(self):
        return self.child.poll() is None

    @property
    def sanitizers(self):
        """Those that what runs was built with: the command may be one that becomes the program, as nsenter does."""
        try:
            return sanitizers(os.readlink(f"/proc/{self.pid}/exe"))
        except FileNotFoundError:
            # It has ended, and has nothing open.
            return set()

    def family(self):
        """The process and its descendants."""
        found = [self.pid]
        for pid in found:
            try:
                with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as children:
                    found += [int(child) for child in children.read().split()]
            except FileNotFoundError:
                pass
        return found

    def descriptors(self):
        """Open descriptors of the whole family."""
        return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in self.family())

    def open_files(self):
        """What the descriptors are, for the message of a failed check."""
        names = []
        for pid in self.family():
            for descriptor in os.listdir(f"/proc/{pid}/fd"):
                try:
                    names.append(f"{descriptor}={os.readlink(f'/proc/{pid}/fd/{descriptor}')}")
                except FileNotFoundError:
                    pass
        return " ".join(names)

    def resident(self):
        """Resident bytes of the whole family."""
        total = 0
        for pid in self.family():
            with open(f"/proc/{pid}/statm", encoding="ascii") as statm:
                total += int(statm.read().split()[1])
        return total * os.sysconf("SC_PAGE_SIZE")

    def cpu_seconds(self):
        """User and system time that the family has used."""
        ticks = 0
        for pid in self.family():
            with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
                columns = stat.read().rpartition(")")[2].split()
            ticks += int(columns[11]) + int(columns[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def check_alive(self):
        assert self.alive(), f"exited with {self.child.returncode}:\n{self.tail()}"
        for mark in FATAL_MARKS:
            assert mark not in self.log(), f"{mark!r} in its log:\n{self.tail()}"

    def tail(self):
        return self.log()[-4000:].decode("utf-8", "replace")

    def send_signal(self, number):
        os.kill(self.pid, number)

    def stop(self, number=signal.SIGTERM, timeout=15.0):
        """Ends the process; returns its exit status, fails when it must be killed."""
        family = self.family()
        killed = False
        if self.alive():
            self.send_signal(number)
            try:
                self.child.wait(timeout)
            except subprocess.TimeoutExpired:
                killed = True
                for pid in family:
                    try:
                        os.kill(pid, signal.SIGKILL)
                    except ProcessLookupError:
                        pass
                self.child.wait(timeout)
        assert not killed, f"did not end within {timeout} s of signal {number}:\n{self.tail()}"
        eventually(lambda: not any(is_running(pid) for pid in family),
                   f"no process of {family} is left")
        return self.child.returncode

    def kill(self):
        """Ends the family at once; for a test that has failed already."""
        for pid in self.family():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.child.wait(10)


@functools.cache
def sanitizers(path):
    """Which of the address and the thread sanitizer a program was built with."""
    path = shutil.which(path) or path
    with open(path, "rb") as binary:
        symbols = binary.read()
    return {name for name, symbol in (("address", b"__asan_init"), ("thread", b"__tsan_init")) if symbol in symbols}


def is_sanitized(path):
    """True when a program was built with one of them."""
    return bool(sanitizers(path))


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
            return stat.read().rpartition(")")[2].split()[0] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_for_descriptors(program, baseline, timeout=15.0):
    """Fails when the family does not come back to `baseline` open descriptors.

    Not under the thread sanitizer, which slows the start down so much that the count at the start is not the whole
    one, and which runs a program of its own once it has something to say; the same tests count in the other lanes.
    """
    if "thread" in program.sanitizers:
        return
    deadline = time.monotonic() + timeout
    while (count := program.descriptors()) > baseline:
        if time.monotonic() > deadline:
            raise AssertionError(
                f"{count} descriptors open, {baseline} at the start: {program.open_files()}")
        time.sleep(0.02)
