"""How soon the latency is back to normal after both upstreams were gone for eight seconds.

The upstreams are nginx answering by itself, faster than any gunicorn, so that what is seen is the proxy's share. With
--gunicorns they are real ones, which the requests that waited keep busy for a while, whoever hands them over.
"""

import argparse
import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "common"))

from load import Load, percentile  # noqa: E402
from peers import GalaxyLB  # noqa: E402
from run import Gunicorns  # noqa: E402

RATE, BEFORE, GONE, AFTER = 500, 4, 8, 6


class Upstream:
    """An nginx that answers everything, on a unix socket."""

    def __init__(self, folder, number):
        self.path = os.path.join(folder, f"upstream{number}.sock")
        self.folder = os.path.join(folder, f"upstream{number}")
        os.mkdir(self.folder)
        self.start()

    def start(self):
        configuration = os.path.join(self.folder, "nginx.conf")
        user = "user root;" if os.getuid() == 0 else ""
        with open(configuration, "w", encoding="utf-8") as file:
            file.write(f"""{user}
worker_processes 1; daemon off; pid {self.folder}/pid; error_log stderr crit;
events {{ worker_connections 8192; }}
http {{
  access_log off; keepalive_requests 1000000;
  client_body_temp_path {self.folder}/body; proxy_temp_path {self.folder}/proxy;
  fastcgi_temp_path {self.folder}/fastcgi; uwsgi_temp_path {self.folder}/uwsgi; scgi_temp_path {self.folder}/scgi;
  server {{ listen unix:{self.path}; location / {{ return 200 "ok"; }} }}
}}
""")
        program = shutil.which("nginx", path="/usr/sbin:/usr/bin")
        self.process = subprocess.Popen([program, "-p", self.folder, "-c", configuration, "-e", "stderr"])

    def stop(self):
        self.process.terminate()
        self.process.wait(10)
        if os.path.exists(self.path):
            os.unlink(self.path)


class FastUpstreams:
    """Two of them."""

    def __init__(self, folder):
        self.upstreams = [Upstream(folder, number) for number in range(2)]
        self.sockets = [upstream.path for upstream in self.upstreams]
        while not all(os.path.exists(path) for path in self.sockets):
            time.sleep(0.05)

    def take_away(self):
        for upstream in self.upstreams:
            upstream.stop()

    def bring_back(self):
        for upstream in self.upstreams:
            upstream.start()

    stop = take_away


class RealUpstreams(Gunicorns):
    """Two gunicorns under a supervisor."""

    def take_away(self):
        self.control("stop", "all")

    def bring_back(self):
        self.control("start", "all")


async def measure(proxy, upstreams):
    load = Load(proxy.port, RATE, BEFORE + GONE + AFTER)
    running = asyncio.create_task(load.run())
    await asyncio.sleep(BEFORE)
    await asyncio.to_thread(upstreams.take_away)
    await asyncio.sleep(GONE)
    await asyncio.to_thread(upstreams.bring_back)
    return await running


def report(results):
    failed = [f"{result.target} {result.outcome}" for result in results if result.outcome != "200"]
    quiet = [result.seconds for result in results if result.due < BEFORE - 0.5]
    # Nothing was there before that moment.
    waited = [result for result in results if result.seconds > 0.5 and result.due + result.seconds > BEFORE + GONE]
    first = min(result.due + result.seconds for result in waited)
    last = max(result.due + result.seconds for result in waited)
    print(f"{len(results)} requests, {len(failed)} failed, {len(waited)} waited; the last of these was answered "
          f"{(last - first) * 1000:.0f} ms after the first")
    if failed:
        print("failed: " + ", ".join(failed[:20]))
    print(f"before: p50 {percentile(quiet, 0.5) * 1000:.1f} ms, p99 {percentile(quiet, 0.99) * 1000:.1f} ms")
    step = 50 if last - first < 0.4 else 200
    for begin in range(0, 10 * step, step):
        times = [result.seconds for result in results if begin <= (result.due - first) * 1000 < begin + step]
        print(f"sent {begin} to {begin + step} ms after the first answer: p50 {percentile(times, 0.5) * 1000:.1f} ms, "
              f"p99 {percentile(times, 0.99) * 1000:.1f} ms")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gunicorns", action="store_true")
    options = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="recovery")
    try:
        upstreams = (RealUpstreams if options.gunicorns else FastUpstreams)(folder)
        try:
            proxy = GalaxyLB(upstreams.sockets, folder)
            try:
                report(asyncio.run(measure(proxy, upstreams)))
            finally:
                proxy.stop()
        finally:
            upstreams.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
