"""Where and with what it was measured."""

import os
import platform
import re
import subprocess
import time

from proxy import debian_binary, envoy_binary, galaxy_lb_binary


def version(command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except OSError:
        return "not there"
    found = re.search(r"\d+\.\d+(\.\d+)?[^\s/]*", done.stdout + done.stderr)
    return found.group(0) if found else (done.stdout + done.stderr).strip()


def envoy_version():
    done = subprocess.run([envoy_binary(), "--version"], capture_output=True, text=True, timeout=20)
    found = re.search(r"/(\d+\.\d+\.\d+)/", done.stdout)
    return found.group(1) if found else "unknown"


def setting(name):
    try:
        with open(f"/proc/sys/{name}", encoding="ascii") as file:
            return " ".join(file.read().split())
    except OSError:
        return "unknown"


def description():
    with open("/etc/os-release", encoding="utf-8") as file:
        system = re.search(r'^PRETTY_NAME="?([^"\n]*)', file.read(), re.MULTILINE)
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = re.search(r"^model name\s*:\s*(.*)$", file.read(), re.MULTILINE)
    return {
        "date": time.strftime("%Y-%m-%d"),
        "system": system.group(1) if system else "unknown",
        "kernel": platform.release(),
        "processor": model.group(1) if model else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        # What else ran: above the number of cores the figures are disturbed.
        "load_average": os.getloadavg()[0],
        # It decides on the cost of large bodies, too: bbr takes 3 to 6 % more than cubic.
        "congestion_control": setting("net/ipv4/tcp_congestion_control"),
        "galaxy-lb": version([galaxy_lb_binary(), "--version"]),
        "nginx": version([debian_binary("nginx"), "-v"]),
        "haproxy": version([debian_binary("haproxy"), "-v"]),
        "envoy": envoy_version(),
    }


def sentence(machine):
    return (f"{machine['date']}, {machine['system']}, {machine['cores']} cores, kernel {machine['kernel']}, "
            f"{machine['congestion_control']}, load average {machine['load_average']:.1f} before the start; galaxy-lb "
            f"{machine['galaxy-lb']}, nginx {machine['nginx']}, HAProxy {machine['haproxy']}, Envoy {machine['envoy']}")
