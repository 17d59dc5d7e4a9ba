"""The control socket from outside: HTTP over a unix socket, and the commands of the binary."""

import http.client
import json
import os
import socket
import subprocess

from .proxies import REPOSITORY

BINARY = os.path.abspath(os.environ.get("GALAXY_LB", os.path.join(REPOSITORY, ".build/release/galaxy-lb")))


class UnixConnection(http.client.HTTPConnection):
    """An HTTP connection to a unix socket."""

    def __init__(self, path):
        super().__init__("localhost", timeout=20)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(20)
        self.sock.connect(self.path)


class Control:
    """The control socket of a running proxy."""

    def __init__(self, path):
        self.path = path

    @classmethod
    def of(cls, wire):
        """That of a proxy which the harness has started."""
        return cls(os.path.join(wire.proxy.folder, "control.sock"))

    def request(self, method, target, body=None):
        """Status, header and content of the answer."""
        connection = UnixConnection(self.path)
        try:
            connection.request(method, target, body)
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    def get(self, target):
        status, headers, content = self.request("GET", target)
        assert status == 200, content
        assert headers["Content-Type"] == "application/json"
        return json.loads(content)

    def post(self, target, body=None, expect=200):
        status, _, content = self.request("POST", target, None if body is None else json.dumps(body))
        assert status == expect, content
        return json.loads(content)

    def lines(self, target, body):
        """The lines of progress, one by one as they come."""
        connection = UnixConnection(self.path)
        try:
            connection.request("POST", target, json.dumps(body))
            response = connection.getresponse()
            assert response.status == 200
            assert response.headers["Content-Type"] == "application/x-ndjson"
            while line := response.readline():
                yield json.loads(line)
        finally:
            connection.close()

    def upstreams(self):
        """The documents of all upstreams, by their address."""
        return {upstream["address"]: upstream for upstream in self.get("/v1/upstreams")["upstreams"]}

    def path_of(self, upstream):
        """The resource of a scripted upstream."""
        found = self.upstreams()[upstream.address]
        return f"/v1/upstreams/{found['pool']}/{found['name']}"

    def name_of(self, upstream):
        found = self.upstreams()[upstream.address]
        return f"{found['pool']}/{found['name']}"

    def command(self, *arguments, **options):
        return command("--control", self.path, *arguments, **options)


def command(*arguments, environment=None, prefix=(), stdout=subprocess.PIPE):
    """Runs the binary to its end."""
    variables = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    for name in ("ASAN_OPTIONS", "TSAN_OPTIONS", "LD_LIBRARY_PATH"):
        if name in os.environ:
            variables[name] = os.environ[name]
    return subprocess.run([*prefix, BINARY, *arguments], env=variables | (environment or {}),
                          stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE, text=True,
                          timeout=45, check=False)
