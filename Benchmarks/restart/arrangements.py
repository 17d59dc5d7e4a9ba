"""What stands in front of the gunicorns, and how a deploy restarts them behind it."""

import csv
import http.client
import io
import os
import socket
import subprocess
import time

from peers import GalaxyLB, HAProxy, Nginx
from proxy import debian_binary, galaxy_lb_binary

# How long the experts' scripts let requests end, and wait for a gunicorn to come back.
DRAIN_SECONDS = 30.0
READY_SECONDS = 60.0


class Galaxyctl:
    """Restarts by the one command that Gravity has for it."""

    def restart(self, galaxy):
        """Returns the exit status and what was printed. Blocks."""
        ended = galaxy.galaxyctl("graceful")
        return ended.returncode, ended.stdout


class DocumentedNginx(Galaxyctl, Nginx):
    """nginx as the documentation of Galaxy and Gravity sets it up, and `galaxyctl graceful`."""

    title = "nginx as documented, `galaxyctl graceful`"

    def command(self):
        servers = " ".join(f"server unix:{path};" for path in self.sockets)
        user = "user root;" if os.getuid() == 0 else ""
        path = self.write(f"""
{user}
worker_processes auto; daemon off; pid {self.folder}/nginx.pid; error_log stderr crit;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  client_body_temp_path {self.folder}/body; proxy_temp_path {self.folder}/proxy;
  fastcgi_temp_path {self.folder}/fastcgi; uwsgi_temp_path {self.folder}/uwsgi; scgi_temp_path {self.folder}/scgi;
  map $http_upgrade $connection_upgrade {{ default upgrade; "" close; }}
  upstream galaxy {{ {servers} }}
  server {{
    listen 127.0.0.1:{self.port} backlog=4096;
    keepalive_requests 1000000;
    client_max_body_size 10g;
    location / {{
      proxy_pass http://galaxy;
      proxy_read_timeout 180;
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
    }}
  }}
}}
""")
        return [debian_binary("nginx"), "-p", self.folder, "-c", path, "-e", "stderr"]


class ExpertNginx(Galaxyctl, Nginx):
    """nginx as somebody sets it up who knows what a restart does, and `galaxyctl graceful`."""

    title = "nginx with an expert's settings, `galaxyctl graceful`"
    http = 'map $http_upgrade $connection_upgrade { default upgrade; "" ""; }'
    location = """proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;
      client_max_body_size 0; proxy_request_buffering off; proxy_buffering off; proxy_read_timeout 600s;"""


class DrainedHAProxy(HAProxy):
    """HAProxy with health checks, and a script that drains each server by the runtime socket before its restart."""

    title = "HAProxy, drained by its runtime socket"

    def command(self):
        self.admin = os.path.join(self.folder, "haproxy.sock")
        self.process_options = f"stats socket {self.admin} mode 600 level admin"
        self.defaults = "timeout tunnel 1h"
        return super().command()

    def restart(self, galaxy):
        """Returns the exit status and what was printed. Blocks."""
        said = []
        for number, program in enumerate(galaxy.programs):
            server = f"galaxy/g{number}"
            self.tell(f"set server {server} state drain")
            if not until(lambda number=number: self.statistics(number)["scur"] == "0", DRAIN_SECONDS):
                self.tell(f"shutdown sessions server {server}")
                said.append(f"{server}: sessions shut down")
            ended = galaxy.supervisorctl("restart", program)
            said.append(ended.stdout.strip())
            if ended.returncode or not until(lambda number=number: self.is_healthy(galaxy, number), READY_SECONDS):
                # It stays drained; the other one has all requests.
                return 1, "\n".join([*said, f"{server} does not come back"])
            self.tell(f"set server {server} state ready")
        return 0, "\n".join(said)

    def is_healthy(self, galaxy, number):
        """Whether Galaxy answers, and HAProxy knows it."""
        if not galaxy.answers(galaxy.sockets[number]):
            return False
        # A check from before the restart must not count.
        time.sleep(0.6)
        return self.statistics(number)["check_status"] == "L7OK"

    def tell(self, command):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            connection.connect(self.admin)
            connection.sendall(command.encode() + b"\n")
            answer = b""
            while piece := connection.recv(65536):
                answer += piece
        return answer.decode()

    def statistics(self, number):
        """HAProxy's numbers on one server, by the names that it gives them."""
        rows = csv.DictReader(io.StringIO(self.tell("show stat").lstrip("# ")))
        return next(row for row in rows if row["pxname"] == "galaxy" and row["svname"] == f"g{number}")


class GracefulGalaxyLB(GalaxyLB):
    """galaxy-lb with what it finds in galaxy.yml, and `galaxy-lb --graceful`."""

    title = "galaxy-lb, `galaxy-lb --graceful`"

    def command(self):
        self.control = os.path.join(self.folder, "control.sock")
        configuration = self.write(f"""
listen: ["127.0.0.1:{self.port}"]
galaxy: [{self.folder}/config/galaxy.yml]
state_directory: {self.folder}/reports
""")
        return [galaxy_lb_binary(), "--config", configuration, "--control", self.control]

    def restart(self, galaxy):
        """Returns the exit status and what was printed. Blocks."""
        command = [galaxy_lb_binary(), "--graceful", "--json", "--control", self.control]
        ended = subprocess.run(
            command, env=galaxy.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=900, check=False)
        return ended.returncode, ended.stdout


ARRANGEMENTS = {
    "nginx": DocumentedNginx, "nginx-expert": ExpertNginx, "haproxy": DrainedHAProxy, "galaxy-lb": GracefulGalaxyLB}


def until(condition, seconds):
    """Waits until it holds, at most so long; tells whether it does."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def version_through(port):
    """The status and version that a user gets, by way of the proxy."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/api/version")
        response = connection.getresponse()
        return response.status, response.read().decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as error:
        return None, type(error).__name__
    finally:
        connection.close()
