"""Loads a Galaxy that runs already: one address, or several in turn, such as its nginx, galaxy-lb and a gunicorn."""

import glob
import json
import os
import socket
import time
from statistics import median
from urllib.parse import urlsplit

from throughput import programs
from throughput.measure import cpu_nanoseconds, with_descendants


class Target:
    """Of http://HOST[:PORT]/PATH or unix:SOCKET:/PATH."""

    def __init__(self, url):
        self.url = url
        if url.startswith("unix:"):
            self.address, _, path = url.rpartition(":/")
            self.host, self.path, self.listeners = "localhost", f"/{path}", []
            if not self.address:
                raise SystemExit(f"{url}: expected unix:SOCKET:/PATH")
            return
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise SystemExit(f"{url}: expected http://HOST[:PORT]/PATH or unix:SOCKET:/PATH (TLS is not spoken here)")
        self.host = parts.netloc
        self.path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            found = socket.getaddrinfo(parts.hostname, parts.port or 80, socket.AF_INET, socket.SOCK_STREAM)
        except OSError as error:
            raise SystemExit(f"{url}: {error}") from error
        address, port = found[0][4]
        self.address = f"{address}:{port}"
        self.listeners = listeners(port) if address.startswith("127.") else []

    def load(self, seconds, words):
        """The result of one load, with the CPU time of the processes that listen there if that can be told."""
        words = ["--path", self.path, "--host", self.host, "--any-status", "--seconds", str(seconds), *words]
        running = programs.Load("load", words, [self.address], seconds + 60)
        try:
            before = cpu_nanoseconds(self.listeners)
            running.go()
            line = running.result()
            spent = cpu_nanoseconds(self.listeners) - before
        finally:
            running.end()
        if not line:
            raise SystemExit(f"{self.url}: no result in time")
        result = json.loads(line)
        result["rate"] = result["good"] / result["seconds"] if result["good"] else 0.0
        result["cpu"] = spent / result["good"] / 1000 if self.listeners and result["good"] else None
        return result


def listeners(port):
    """The local processes that listen on a TCP port, with those they have started; none that one may not look at."""
    sockets = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with open(table, encoding="ascii") as file:
            for row in list(file)[1:]:
                fields = row.split()
                # proc(5): local address, state (0A: listening), inode.
                if int(fields[1].rpartition(":")[2], 16) == port and fields[3] == "0A":
                    sockets.add(f"socket:[{fields[9]}]")
    found = set()
    for name in glob.glob("/proc/[0-9]*/fd/*"):
        try:
            if os.readlink(name) in sockets:
                found.update(with_descendants(int(name.split("/")[2])))
        except OSError:
            continue
    return sorted(found)


def measure(options):
    targets = [Target(url) for url in options.target]
    for target in targets:
        if not target.load(1, ["--connections", "1", "--requests", "1", "--cold"])["good"]:
            raise SystemExit(f"{target.url}: expected an answer with a status from 200 to 399")
    seconds = 5 * options.scale
    shapes = [("1 connection", ["--connections", "1"]), ("16 connections", ["--connections", "16"]),
              ("64 connections", ["--connections", "64"]),
              ("100/s, open loop", ["--connections", "64", "--rate", "100"])]
    everything = {}
    for title, words in shapes:
        runs = {target.url: [] for target in targets}
        for turn in range(options.rounds):
            for target in targets if turn % 2 == 0 else reversed(targets):
                runs[target.url].append(target.load(seconds, words))
                time.sleep(0.2)
        everything[title] = runs
        print(title)
        for url, results in runs.items():
            wrong = sum(result["bad_status"] + result["failed"] for result in results)
            cpu = [result["cpu"] for result in results if result["cpu"] is not None]
            middle = {key: median(result[key] for result in results) for key in ("rate", "p50", "p99", "p999")}
            print(f"  {url}: {middle['rate']:,.1f} a second, p50 {middle['p50'] / 1000:.2f} ms, "
                  f"p99 {middle['p99'] / 1000:.2f} ms, p99.9 {middle['p999'] / 1000:.2f} ms"
                  + (f", CPU {median(cpu):,.1f} us each" if cpu else "")
                  + (f", {wrong} wrong or missing" if wrong else ""), flush=True)
    with open(options.json, "w", encoding="utf-8") as file:
        json.dump(everything, file, indent=1)
    print(f"All figures: {options.json}")
