"""What the kernel knows about processes: CPU time, memory, system calls."""

import glob
import os
import re
import signal
import subprocess
import time


def with_descendants(pid):
    """The process and everything that it has started."""
    found, left = [], [pid]
    while left:
        pid = left.pop()
        found.append(pid)
        for name in glob.glob(f"/proc/{pid}/task/*/children"):
            try:
                with open(name, encoding="ascii") as file:
                    left += [int(word) for word in file.read().split()]
            except OSError:
                continue
    return found


def cpu_nanoseconds(pids):
    """CPU time of all threads, in nanoseconds: user and kernel, as the scheduler counts it (/proc/PID/schedstat)."""
    total = 0
    for pid in pids:
        for name in glob.glob(f"/proc/{pid}/task/*/schedstat"):
            try:
                with open(name, encoding="ascii") as file:
                    total += int(file.read().split()[0])
            except OSError:
                continue
    return total


def memory(pids):
    """Resident memory in bytes, what processes share divided among them (PSS of /proc/PID/smaps_rollup)."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            total += int(re.search(r"^Pss:\s+(\d+) kB", file.read(), re.MULTILINE).group(1)) * 1024
    return total


class SystemCalls:
    """Counts the system calls of processes from construction to `stop`."""

    def __init__(self, pids, folder):
        self.output = os.path.join(folder, "strace")
        names = [word for pid in pids for word in ("-p", str(pid))]
        self.process = subprocess.Popen(
            ["strace", "-c", "-f", "-qq", "-o", self.output, *names], stderr=subprocess.DEVNULL)
        self.is_attached = self.wait_until_attached(pids)

    def wait_until_attached(self, pids):
        threads = [name for pid in pids for name in glob.glob(f"/proc/{pid}/task/*/status")]
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline and self.process.poll() is None:
            if all(f"TracerPid:\t{self.process.pid}\n" in open_text(name) for name in threads):
                return True
            time.sleep(0.02)
        return False

    def stop(self):
        """Calls by name."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if not self.is_attached:
            return {}
        # % time, seconds, usecs/call, calls, errors (may be empty), syscall
        rows = re.findall(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", open_text(self.output), re.MULTILINE)
        return {name: int(calls) for calls, name in rows if name != "total"}


def open_text(name):
    try:
        with open(name, encoding="utf-8") as file:
            return file.read()
    except OSError:
        return ""
