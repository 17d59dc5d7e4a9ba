"""What users notice when single gunicorns fail: the same faults behind galaxy-lb, nginx, HAProxy and Envoy.

Two real gunicorns under a real supervisor, 500 requests/s of which 45 % are POSTs, and a fault in the middle. Prints
a table and, with --json FILE, everything that was counted.
"""

import argparse
import asyncio
import collections
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "common"))

from load import Load, percentile  # noqa: E402
from peers import PEERS  # noqa: E402


class Gunicorns:
    """Two gunicorns on unix sockets under a supervisor of their own."""

    def __init__(self, folder, boot_seconds=0.0, work_seconds=0.0, preload=True, backlog=2048):
        self.folder = folder
        self.journal = os.path.join(folder, "journal")
        self.sockets = [os.path.join(folder, f"gunicorn{number}.sock") for number in range(2)]
        self.configuration = os.path.join(folder, "supervisord.conf")
        programs = ""
        for number, path in enumerate(self.sockets):
            arguments = ["--chdir", HERE, "--bind", f"unix:{path}", "--workers", "2", "--backlog", str(backlog),
                         "--worker-class", "uvicorn_worker.UvicornWorker", "--graceful-timeout", "10",
                         *(["--preload"] if preload else []), "application:application"]
            programs += f"""
[program:gunicorn{number}]
command={sys.executable} -m gunicorn {' '.join(arguments)}
environment=JOURNAL="{self.journal}",BOOT_SECONDS="{boot_seconds}",WORK_SECONDS="{work_seconds}"
stopasgroup=false
killasgroup=true
stdout_logfile={folder}/gunicorn{number}.log
redirect_stderr=true
"""
        with open(self.configuration, "w", encoding="utf-8") as file:
            file.write(f"""[unix_http_server]
file={folder}/supervisor.sock
[supervisord]
nodaemon=true
logfile={folder}/supervisord.log
pidfile={folder}/supervisord.pid
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://{folder}/supervisor.sock
{programs}""")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "supervisor.supervisord", "-c", self.configuration],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        for path in self.sockets:
            self.wait_for_answer(path)

    def wait_for_answer(self, path):
        """Waits until it answers, and not only accepts."""
        for _ in range(600):
            try:
                with socket.socket(socket.AF_UNIX) as probe:
                    probe.settimeout(1)
                    probe.connect(path)
                    probe.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                    if probe.recv(12) == b"HTTP/1.1 200":
                        return
            except OSError:
                time.sleep(0.05)
        raise SystemExit(f"no answer on {path}: see {self.folder}")

    def control(self, *words):
        subprocess.run([sys.executable, "-m", "supervisor.supervisorctl", "-c", self.configuration, *words],
                       check=False, stdout=subprocess.DEVNULL, timeout=60)

    def pid(self, number):
        answer = subprocess.run(
            [sys.executable, "-m", "supervisor.supervisorctl", "-c", self.configuration, "pid", f"gunicorn{number}"],
            capture_output=True, text=True, timeout=20, check=True)
        return int(answer.stdout)

    def stop(self):
        self.process.terminate()
        self.process.wait(40)


def children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            return [int(word) for word in file.read().split()]
    except FileNotFoundError:
        return []


# Each fault is called in a thread while the load runs; it returns when it is over, and the moment that matters.

def restart_each(gunicorns):
    """supervisorctl restart of each, one after the other, with nobody telling the proxy."""
    for number in range(2):
        gunicorns.control("restart", f"gunicorn{number}")
        gunicorns.wait_for_answer(gunicorns.sockets[number])


def both_down(gunicorns):
    """Both stopped for eight seconds."""
    gunicorns.control("stop", "all")
    time.sleep(8)
    gunicorns.control("start", "all")


def kill_one(gunicorns):
    """kill -9 of one master and its workers; supervisor starts it again."""
    master = gunicorns.pid(0)
    workers = children(master)
    for pid in [master, *workers]:
        os.kill(pid, signal.SIGKILL)
    time.sleep(3)


def restart_slow(gunicorns):
    """One restarted that accepts at once and answers only five seconds later."""
    gunicorns.control("restart", "gunicorn0")
    gunicorns.wait_for_answer(gunicorns.sockets[0])


def nothing(_):
    pass


SCENARIOS = {
    "restart": ("both restarted in turn", {}, restart_each, 25),
    "down": ("both down for 8 s", {}, both_down, 25),
    "kill": ("one killed", {"work_seconds": 0.05}, kill_one, 12),
    "slow-boot": ("one restarted, 5 s until it answers", {"boot_seconds": 5, "preload": False}, restart_slow, 20),
}


async def measure(peer, gunicorns, fault, seconds, rate):
    load = Load(peer.port, rate, seconds)
    running = asyncio.create_task(load.run())
    await asyncio.sleep(3)
    await asyncio.to_thread(fault, gunicorns)
    return await running


async def burst(peer, connections):
    """So many connections at once, each with one request."""
    load = Load(peer.port, 1, connections)
    load.idle = []
    start = time.monotonic()
    await asyncio.gather(*(load.request(number, start, start) for number in range(connections)))
    return load.results


def read_journal(path):
    """How often each target was begun, and ended."""
    begun, ended = collections.Counter(), collections.Counter()
    with open(path, encoding="ascii") as file:
        for line in file:
            what, target = line.split()
            {"begun": begun, "ended": ended}[what][target] += 1
    return begun, ended


def summarise(results, begun, ended):
    outcomes = collections.Counter(result.outcome for result in results)
    good = [result.seconds for result in results if result.outcome == "200"]
    failures = [
        {"target": result.target, "outcome": result.outcome, "begun": begun[result.target],
         "ended": ended[result.target]} for result in results if result.outcome != "200"]
    return {
        "requests": len(results), "failed": len(failures),
        "failed_while_executed": sum(failure["begun"] > failure["ended"] for failure in failures),
        "outcomes": dict(outcomes), "failures": failures,
        "posts_executed_twice": sum(count > 1 for target, count in begun.items() if target.startswith("/post/")),
        "p50_ms": round(percentile(good, 0.5) * 1000, 1), "p99_ms": round(percentile(good, 0.99) * 1000, 1),
        "longest_ms": round(max(good, default=0) * 1000, 1),
    }


def run(name, kind, rate):
    title, options, fault, seconds = SCENARIOS.get(name, ("", {"backlog": 8}, nothing, 0))
    folder = tempfile.mkdtemp(prefix="failover")
    gunicorns = Gunicorns(folder, **options)
    try:
        peer = kind(gunicorns.sockets, folder)
        try:
            if name == "burst":
                results = asyncio.run(burst(peer, 1000))
            else:
                results = asyncio.run(measure(peer, gunicorns, fault, seconds, rate))
        finally:
            peer.stop()
        return summarise(results, *read_journal(gunicorns.journal))
    finally:
        gunicorns.stop()
        shutil.rmtree(folder, ignore_errors=True)


def print_failures(table):
    """The requests that failed, as far as they are few: what they were, and whether a gunicorn had begun them."""
    for name, rows in table.items():
        for proxy, row in rows.items():
            if not 0 < row["failed"] <= 50:
                continue
            print(f"\n{name}, {proxy}:")
            for failure in row["failures"]:
                state = "never begun" if not failure["begun"] else (
                    "being executed" if failure["begun"] > failure["ended"] else "executed to its end")
                print(f"  {failure['target']}: {failure['outcome']}, {state}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenario", action="append", choices=[*SCENARIOS, "burst"])
    parser.add_argument("--proxy", action="append", choices=list(PEERS))
    parser.add_argument("--rate", type=float, default=500)
    parser.add_argument("--json")
    options = parser.parse_args()
    table = {}
    print("| scenario | proxy | requests | failed | of these being executed | POSTs executed twice | p50 ms | p99 ms "
          "| longest ms |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name in options.scenario or [*SCENARIOS, "burst"]:
        for proxy in options.proxy or PEERS:
            row = run(name, PEERS[proxy], options.rate)
            table.setdefault(name, {})[proxy] = row
            title = SCENARIOS[name][0] if name in SCENARIOS else "1,000 connections at once, backlog 8"
            print(f"| {title} | {proxy} | {row['requests']} | {row['failed']} "
                  f"| {row['failed_while_executed']} | {row['posts_executed_twice']} | {row['p50_ms']} "
                  f"| {row['p99_ms']} | {row['longest_ms']} |", flush=True)
    print_failures(table)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(table, file, indent=2)


if __name__ == "__main__":
    main()
