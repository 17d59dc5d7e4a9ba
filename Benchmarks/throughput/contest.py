"""Runs one contender under one workload and says what it took."""

import json
import os
import shutil
import tempfile
import threading

from throughput import programs
from throughput.measure import SystemCalls, cpu_nanoseconds, memory, with_descendants
from throughput.peers import PEERS, Processes

CONTENDERS = PEERS | {kind.name: kind for kind in (Processes, programs.Relay)}


class Stage:
    """An upstream and, unless there is no proxy, a contender in front of it, in a folder of their own."""

    def __init__(self, workload, name, setup):
        self.folder = tempfile.mkdtemp(prefix="benchmark")
        # nginx's workers are somebody else where no user is named.
        os.chmod(self.folder, 0o755)
        self.contender = self.upstream = None
        try:
            self.upstream = programs.Upstream(self.folder, workload.sockets)
            kind = CONTENDERS.get(name)
            self.contender = kind(self.upstream.sockets, self.folder, setup) if kind else self.upstream
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        if self.contender and self.contender is not self.upstream:
            self.contender.stop()
        if self.upstream:
            self.upstream.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def arguments(workload, seconds):
    return [*workload.arguments, *(["--seconds", str(seconds)] if workload.seconds else [])]


def check(workload, name, result):
    """Raises ValueError unless every answer was right and all were there."""
    wrong = {key: result[key] for key in ("bad_status", "bad_size", "failed") if result[key]}
    if workload.answers is not None and result["good"] != workload.answers:
        wrong["good"] = result["good"]
    if wrong or not result["good"]:
        raise ValueError(f"{workload.name} through {name}: wrong answers: {wrong or result}")


class PeakMemory(threading.Thread):
    """The most memory that processes have, looked at five times a second until it is stopped."""

    def __init__(self, pids):
        super().__init__(daemon=True)
        self.pids, self.peak, self.over = pids, 0, threading.Event()
        self.start()

    def run(self):
        while not self.over.wait(0.2):
            try:
                self.peak = max(self.peak, memory(self.pids))
            except OSError:
                # It has ended; whoever waits for its answers says so.
                return

    def stop(self):
        self.over.set()
        self.join()
        return self.peak


def processes(stage):
    members = getattr(stage.contender, "members", [stage.contender])
    return sorted(pid for member in members for pid in with_descendants(member.process.pid))


def load(workload, stage, words, patience):
    return programs.Load(workload.program, words, stage.contender.addresses, patience)


def warm_up(stage):
    """Lets a process touch what it needs for any work at all, so that memory counts the connections alone."""
    for connections, requests, length in ((64, 2000, 100), (4, 20, 1 << 20)):
        words = ["--connections", str(connections), "--requests", str(requests), "--path", f"/bytes/{length}"]
        running = programs.Load("load", words, stage.contender.addresses, 30)
        running.go()
        running.result()
        running.end()


def run(workload, name, scale=1.0):
    """One measurement: figures by name. `scale` shortens the time of those that have one."""
    seconds = (workload.seconds or 0) * scale
    with Stage(workload, name, workload.setup) as stage:
        before = 0
        if workload.memory:
            warm_up(stage)
            before = memory(processes(stage))
        running = load(workload, stage, arguments(workload, seconds), seconds + 90)
        try:
            # By now it has answered, so that all of its processes are there.
            pids = processes(stage)
            others = [stage.upstream.process.pid, running.process.pid]
            peak = PeakMemory(pids) if workload.memory == "peak" else None
            at_start, others_at_start = cpu_nanoseconds(pids), cpu_nanoseconds(others)
            running.go()
            line = running.result()
            spent, others_spent = cpu_nanoseconds(pids) - at_start, cpu_nanoseconds(others) - others_at_start
            if not line:
                raise ValueError(f"{workload.name} through {name}: no result in time")
            if processes(stage) != pids:
                raise ValueError(f"{workload.name} through {name}: its processes changed in the meantime")
            held = peak.stop() if peak else memory(pids)
        finally:
            running.end()
    result = json.loads(line)
    check(workload, name, result)
    units = result["good"] * workload.volume / (1 << 30) if workload.volume else result["good"]
    figures = {
        # Microseconds of CPU time per answer, or milliseconds per GiB.
        "cpu": spent / units / (1e6 if workload.volume else 1e3),
        # The same of upstream and load together: what a proxy saves itself may cost others.
        "others": others_spent / units / (1e6 if workload.volume else 1e3),
        "rate": result["good"] / result["seconds"],
        "used": spent / result["seconds"] / 1e9,
        "resident": held,
        "answers": result["good"],
    }
    if workload.shows_latency:
        figures |= {key: result[key] for key in ("p50", "p99", "p999")}
    if workload.memory:
        figures["each"] = (held - before) / workload.connections
    return figures


def system_calls(workload, name):
    """System calls per answer by name, most frequent first, of a short run under strace; empty where it may not."""
    with Stage(workload, name, workload.setup) as stage:
        running = load(workload, stage, arguments(workload, 1), 60)
        try:
            pids = processes(stage)
            counter = SystemCalls(pids, stage.folder)
            running.go()
            line = running.result()
            calls = counter.stop()
        finally:
            running.end()
    answers = json.loads(line)["good"] if line else 0
    ordered = sorted(calls.items(), key=lambda item: -item[1])
    return {call: count / answers for call, count in ordered} if answers else {}
