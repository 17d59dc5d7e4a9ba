"""Instructions per request in user space, counted by callgrind: free of noise, and blind to what the kernel does."""

import glob
import os
import re
import shutil
import tempfile
from dataclasses import replace

from throughput import programs
from throughput.contest import Stage

# Envoy takes minutes to start under callgrind.
CONTENDERS = ("galaxy-lb", "nginx", "haproxy", "relay")
FEW, MANY = 1000, 4000


def total(workload, name, requests):
    folder = tempfile.mkdtemp(prefix="callgrind")
    wrapper = ("valgrind", "--tool=callgrind", "--quiet", f"--callgrind-out-file={folder}/%p")
    try:
        with Stage(workload, name, replace(workload.setup, wrapper=wrapper)) as stage:
            running = programs.Load(workload.program, [*workload.arguments, "--requests", str(requests)],
                                    stage.contender.addresses, 120)
            try:
                running.go()
                answered = running.result()
            finally:
                running.end()
        # callgrind writes when its program ends.
        counted = 0
        for path in glob.glob(os.path.join(folder, "*")):
            with open(path, encoding="utf-8", errors="replace") as file:
                found = re.search(r"^(?:summary|totals): (\d+)", file.read(), re.MULTILINE)
                counted += int(found.group(1)) if found else 0
        return counted if answered else 0
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def per_request(workload, name):
    """The difference of a long and a short run, so that the start and the end don't count; None without callgrind."""
    if name not in CONTENDERS or not shutil.which("valgrind"):
        return None
    few, many = total(workload, name, FEW), total(workload, name, MANY)
    return round((many - few) / (MANY - FEW)) if few and many else None
