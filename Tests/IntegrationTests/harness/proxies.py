"""The systems under test: galaxy-lb, and Debian's nginx and HAProxy as an expert sets them up.

All three take the same `Setup`. What a peer has no setting for is left at its
default, and the expectations table says which tests that concerns.
"""

import os
import re
import shutil
import signal
from dataclasses import dataclass, field

from .addresses import connect, free_port, is_unix
from .process import Program, wait_for_descriptors
from .stream import eventually

REPOSITORY = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))


@dataclass
class Setup:
    """What a proxy is started with; durations and sizes as galaxy-lb.yml writes them."""

    upstreams: list
    timeouts: dict = field(default_factory=dict)
    limits: dict = field(default_factory=dict)
    trusted_proxies: list = field(default_factory=list)
    backups: list = field(default_factory=list)
    threads: int = 0
    listen: str = ""


def seconds(duration):
    """The seconds of a duration such as `500ms`, `30s` or `5m`."""
    match = re.fullmatch(r"([0-9]+)(ms|s|m)", duration)
    return int(match[1]) * {"ms": 0.001, "s": 1, "m": 60}[match[2]]


class Proxy:
    """A running proxy: where it listens, its process, and what it had open at first."""

    name = ""
    stop_status = 0

    def __init__(self, setup, folder):
        self.setup = setup
        self.folder = folder
        os.makedirs(folder, exist_ok=True)
        self.address = setup.listen or f"127.0.0.1:{free_port()}"
        self.program = Program(self.command(), os.path.join(folder, "proxy.log"))
        try:
            eventually(self.accepts, f"{self.name} accepts on {self.address}", 15)
            eventually(self.ready, f"{self.name} is ready", 15)
        except AssertionError as failure:
            log = self.program.tail()
            self.program.kill()
            raise AssertionError(f"{failure}\n{' '.join(self.program.command)}\n{log}") from None
        self.settle()

    def command(self):
        raise NotImplementedError

    def accepts(self):
        self.program.check_alive()
        try:
            connect(self.address, 2).close()
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        return True

    def ready(self):
        """True when it has started all it is going to; accepting may begin earlier."""
        return True

    def settle(self):
        """Takes the baseline of descriptors once the start is over."""
        last = [-1]

        def unchanged():
            count = self.program.descriptors()
            same = count == last[0]
            last[0] = count
            return same
        eventually(unchanged, "the number of descriptors is steady", interval=0.03)
        self.baseline = last[0]

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def check_clean(self):
        """Alive, and as many descriptors as at the start."""
        self.program.check_alive()
        wait_for_descriptors(self.program, self.baseline)

    def graceful_signal(self):
        return signal.SIGTERM

    def stop(self):
        status = self.program.stop(self.graceful_signal())
        log = self.program.log()
        assert status == self.stop_status, f"exit status {status}:\n{self.program.tail()}"
        for mark in (b"Fatal error", b"Sanitizer"):
            assert mark not in log, self.program.tail()


class GalaxyLB(Proxy):
    name = "galaxy-lb"

    def ready(self):
        return b"NOTICE listening " in self.program.log()

    def command(self):
        binary = os.environ.get("GALAXY_LB", os.path.join(REPOSITORY, ".build/release/galaxy-lb"))
        setup = self.setup
        command = [os.path.abspath(binary), "--control", f"unix:{self.folder}/control.sock"]
        if not (setup.timeouts or setup.limits or setup.trusted_proxies or setup.backups
                or setup.threads):
            command += ["--listen", self.address]
            for upstream in setup.upstreams:
                command += ["--upstream", upstream]
            return command
        return command + ["--config", self.write("galaxy-lb.yml", self.configuration())]

    def configuration(self):
        setup = self.setup
        lines = [f'listen: ["{self.address}"]']
        if setup.threads:
            lines.append(f"threads: {setup.threads}")
        lines += ["pools:", "  main:", "    upstreams:"]
        for upstream in setup.upstreams:
            backup = "true" if upstream in setup.backups else "false"
            lines.append(f'      - {{address: "{upstream}", weight: 1, backup: {backup}}}')
        for section in ("timeouts", "limits"):
            values = getattr(setup, section)
            if values:
                lines.append(f"{section}:")
                lines += [f"  {key}: {value}" for key, value in values.items()]
        if setup.trusted_proxies:
            lines.append("trusted_proxies: [" + ", ".join(
                f'"{network}"' for network in setup.trusted_proxies) + "]")
        return "\n".join(lines) + "\n"


class Nginx(Proxy):
    name = "nginx"

    def ready(self):
        """True when each worker has begun; the master accepts for them before."""
        return self.program.open_files().count("[eventfd]") >= (self.setup.threads or 1)

    def graceful_signal(self):
        return signal.SIGQUIT

    def command(self):
        path = self.write("nginx.conf", self.configuration())
        return [shutil.which("nginx", path="/usr/sbin:/usr/bin") or "nginx",
                "-p", self.folder, "-c", path, "-e", "stderr"]

    def configuration(self):
        setup = self.setup
        timeouts = {
            "request_head": ["client_header_timeout"], "request_body": ["client_body_timeout"],
            "keep_alive": ["keepalive_timeout"], "connect": ["proxy_connect_timeout"],
            "response": ["proxy_read_timeout", "proxy_send_timeout"], "tunnel": ["proxy_read_timeout"],
        }
        lines = [f"{name} {int(seconds(value) * 1000)}ms;"
                 for key, value in setup.timeouts.items() for name in timeouts.get(key, [])]
        if not {"response", "tunnel"} & set(setup.timeouts):
            lines.append("proxy_read_timeout 300s;")
        lines += [f"set_real_ip_from {network};" for network in setup.trusted_proxies]
        servers = []
        for upstream in setup.upstreams:
            backup = " backup" if upstream in setup.backups else ""
            servers.append(f"server {upstream} max_fails=1 fail_timeout=2s{backup};")
        user = "user root;" if os.getuid() == 0 else ""
        return f"""
{user}
worker_processes {setup.threads or 1};
daemon off;
pid {self.folder}/nginx.pid;
worker_shutdown_timeout {int(seconds(setup.timeouts.get("shutdown", "30s")) * 1000)}ms;
error_log stderr warn;
worker_rlimit_nofile 16384;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  client_body_temp_path {self.folder}/body;
  proxy_temp_path {self.folder}/proxy;
  fastcgi_temp_path {self.folder}/fastcgi;
  uwsgi_temp_path {self.folder}/uwsgi;
  scgi_temp_path {self.folder}/scgi;
  map $http_upgrade $upgrade_asked {{ default ""; ~*^websocket$ websocket; }}
  map $upgrade_asked $connection_asked {{ default ""; websocket upgrade; }}
  upstream pool {{
    least_conn;
    {' '.join(servers)}
    keepalive 64;
    keepalive_timeout 60s;
  }}
  server {{
    listen {self.address} backlog=4096;
    client_max_body_size 0;
    lingering_timeout 1s;
    keepalive_requests 1000000;
    client_header_buffer_size 8k;
    large_client_header_buffers 8 64k;
    {' '.join(lines)}
    location / {{
      proxy_pass http://pool;
      proxy_http_version 1.1;
      proxy_buffering off;
      proxy_request_buffering off;
      proxy_buffer_size 64k;
      proxy_buffers 8 64k;
      proxy_busy_buffers_size 128k;
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Host $host;
      proxy_set_header Remote-User "";
      proxy_set_header X-URL-SCHEME "";
      proxy_set_header Proxy-Connection "";
      proxy_hide_header Proxy-Connection;
      proxy_hide_header TE;
      proxy_set_header Upgrade $upgrade_asked;
      proxy_set_header Connection $connection_asked;
      proxy_pass_header Server;
      proxy_pass_header Date;
      proxy_pass_header X-Accel-Redirect;
      proxy_pass_header X-Accel-Buffering;
      proxy_ignore_headers X-Accel-Redirect X-Accel-Buffering;
    }}
  }}
}}
"""


class HAProxy(Proxy):
    name = "haproxy"

    def ready(self):
        """True when each thread has its pipe, which it opens on its own."""
        return self.program.open_files().count("=pipe:") >= 2 * (self.setup.threads or 2)

    def graceful_signal(self):
        return signal.SIGUSR1

    def command(self):
        path = self.write("haproxy.cfg", self.configuration())
        return [shutil.which("haproxy", path="/usr/sbin:/usr/bin") or "haproxy", "-db", "-f", path]

    def configuration(self):
        setup = self.setup
        bounds = {
            "request_head": 30, "request_body": 60, "keep_alive": 60, "connect": 5,
            "response": 300, "tunnel": 3600, "shutdown": 30,
        }
        for key, value in setup.timeouts.items():
            bounds[key] = seconds(value)
        milliseconds = {key: int(value * 1000) for key, value in bounds.items()}
        bind = self.address if not is_unix(self.address) else "unix@" + self.address[5:]
        # A check is a connection without a request, which only tests of balancing expect.
        check = (" check inter 500ms fall 1 rise 1 observe layer7 error-limit 3 on-error mark-down"
                 if len(setup.upstreams) > 1 else "")
        servers = []
        for number, upstream in enumerate(setup.upstreams):
            place = "unix@" + upstream[5:] if is_unix(upstream) else upstream
            backup = " backup" if upstream in setup.backups else ""
            servers.append(f"  server s{number} {place}{backup}{check}")
        return f"""
global
  maxconn 8000
  nbthread {setup.threads or 2}
  tune.bufsize 65536
  tune.maxrewrite 2048
  tune.http.maxhdr 256
  hard-stop-after {milliseconds['shutdown']}ms
defaults
  mode http
  option http-keep-alive
  option forwardfor
  option redispatch 1
  option abortonclose
  retries 3
  retry-on conn-failure empty-response
  http-reuse always
  backlog 4096
  timeout http-request {milliseconds['request_head']}ms
  timeout http-keep-alive {milliseconds['keep_alive']}ms
  timeout connect {milliseconds['connect']}ms
  timeout queue {milliseconds['connect']}ms
  timeout client {milliseconds['request_body']}ms
  timeout server {milliseconds['response']}ms
  timeout tunnel {milliseconds['tunnel']}ms
frontend web
  bind {bind}
  http-request deny status 405 if METH_CONNECT
  http-request disable-l7-retry unless {{ method GET HEAD OPTIONS }}
  http-request del-header X-Forwarded-Proto
  http-request del-header X-Forwarded-Host
  http-request set-header X-Forwarded-Proto http
  http-request del-header Remote-User
  http-request del-header X_Forwarded_For
  http-request del-header X_Forwarded_Proto
  http-request del-header X_Forwarded_Host
  http-request del-header Remote_User
  http-request del-header X_URL_SCHEME
  http-request del-header Connection if !{{ hdr(Upgrade) -i websocket }}
  http-request del-header Upgrade if !{{ hdr(Upgrade) -i websocket }}
  http-request del-header HTTP2-Settings
  http-request del-header Keep-Alive
  http-request del-header Proxy-Connection
  http-request del-header X-URL-SCHEME
  http-response del-header Keep-Alive
  http-response del-header Proxy-Connection
  http-response del-header TE
  http-response del-header Upgrade if !{{ status 101 }}
  default_backend pool
backend pool
  balance leastconn
{chr(10).join(servers)}
"""


PROXIES = {kind.name: kind for kind in (GalaxyLB, Nginx, HAProxy)}
