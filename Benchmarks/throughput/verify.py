"""Looks, before anything is measured, whether each proxy does the work that is compared."""

import http.client

from throughput.contest import Stage
from throughput.peers import IDENTITY
from throughput.setup import Setup
from throughput.workloads import PROXIES, WORKLOADS

FORWARDED = ("x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-request-id")


def exchange(port, method, path, body=None, headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body=body, headers=headers or {})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def expect(condition, name, what):
    if not condition:
        raise SystemExit(f"{name} can't be compared: {what}")


def verify(name, bodies):
    with Stage(WORKLOADS[0], name, Setup(bodies=bodies)) as stage:
        port = stage.contender.port
        secrets = {field: "secret" for field in IDENTITY}
        status, head = exchange(port, "GET", "/head", headers=secrets)
        seen = {line.partition(b":")[0].decode().lower() for line in head.split(b"\r\n")[1:] if line}
        expect(status == 200, name, f"status {status}")
        for field in FORWARDED:
            expect(field in seen, name, f"the upstream does not get {field}")
        for field in IDENTITY:
            expect(field not in seen, name, f"the upstream gets the client's {field}")
        sent = b"y" * (3 << 20)
        expect(exchange(port, "POST", "/", body=sent) == (200, b"%d" % len(sent)), name, "an upload is not complete")
        status, body = exchange(port, "GET", "/bytes/3000000")
        expect(status == 200 and body == b"x" * 3000000, name, "a download is not what the upstream sent")


def verify_all(names=PROXIES):
    for name in names:
        for bodies in ("small", "large", "upload", "slow"):
            verify(name, bodies)
