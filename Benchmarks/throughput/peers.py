"""The proxies, each as somebody who knows it would set it up for throughput; docs/benchmarks.md says the same in prose.

All of them keep connections on both sides, tell the upstream about the client in the same four fields, remove the
headers that say who a user is, check the health of upstreams where they can, and write no access log.
"""

import os
import resource
from dataclasses import replace

from proxy import Proxy, debian_binary, envoy_binary, galaxy_lb_binary

# What galaxy-lb removes by default, unless a trusted proxy sent it.
IDENTITY = ["remote-user", "remote_user", "gx-secret", "gx_secret", "x-remote-user", "remote-user-email"]
# As many as the measurements open, and as the limit of open files leaves room for two of each. HAProxy counts pipes, too.
OPEN_FILES = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
CONNECTIONS = min(16000, OPEN_FILES // 2 - 200)


class Peer(Proxy):
    def __init__(self, sockets, folder, setup):
        self.setup = setup
        if setup.wrapper:
            self.patience = 60.0
        super().__init__(sockets, folder)

    @property
    def addresses(self):
        return [f"127.0.0.1:{self.port}"]

    def arguments(self):
        raise NotImplementedError

    def command(self):
        return [*self.setup.wrapper, *self.arguments()]


class GalaxyLB(Peer):
    name = "galaxy-lb"

    def arguments(self):
        upstreams = "".join(f"      - unix:{path}\n" for path in self.sockets)
        return [galaxy_lb_binary(), "--config", self.write(f"""
listen: ["127.0.0.1:{self.port}"]
threads: {self.setup.workers}
control: off
log_level: warning
defer_accept: {"true" if self.setup.defers else "false"}
limits: {{connections: {CONNECTIONS}}}
timeouts: {{upstream_keep_alive: 60s}}
pools:
  main:
    health: {{probe: true}}
    hold: {{time: 30s}}
    upstreams:
{upstreams}""")]


class Processes:
    """A galaxy-lb of one thread in place of each thread, with a port of its own: the floor for threads, because they share
    nothing."""

    name = "processes"

    def __init__(self, sockets, folder, setup):
        self.members = []
        try:
            for number in range(setup.workers):
                own = os.path.join(folder, f"{self.name}-{number}")
                os.mkdir(own)
                self.members.append(GalaxyLB(sockets, own, replace(setup, workers=1)))
        except BaseException:
            self.stop()
            raise

    @property
    def addresses(self):
        return [address for member in self.members for address in member.addresses]

    def stop(self):
        for member in self.members:
            member.stop()


class Nginx(Peer):
    name = "nginx"
    BUFFERS = {
        "small": "proxy_buffer_size 16k; proxy_buffers 8 16k; proxy_busy_buffers_size 32k;",
        "large": "proxy_buffer_size 256k; proxy_buffers 4 256k; proxy_busy_buffers_size 512k;",
        "upload": "client_body_buffer_size 256k;",
        "slow": "proxy_buffering off; proxy_buffer_size 16k; proxy_busy_buffers_size 16k;",
    }

    def arguments(self):
        folder, setup = self.folder, self.setup
        servers = "".join(f"    server unix:{path};\n" for path in self.sockets)
        removed = "".join(f'proxy_set_header {name} ""; ' for name in IDENTITY)
        listen = ("deferred " if setup.defers else "") + ("reuseport " if setup.workers > 1 else "")
        path = self.write(f"""
{"user root;" if os.getuid() == 0 else ""} daemon off; pid {folder}/nginx.pid; error_log stderr crit;
{"master_process off;" if setup.wrapper else f"worker_processes {setup.workers};"}
events {{ worker_connections {2 * CONNECTIONS}; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  map $http_upgrade $connection_upgrade {{ default upgrade; "" ""; }}
  upstream galaxy {{
    least_conn;
{servers}    keepalive 1024; keepalive_requests 1000000000; keepalive_timeout 60s;
  }}
  server {{
    listen 127.0.0.1:{self.port} {listen}backlog=4096;
    keepalive_requests 1000000000; keepalive_timeout 75s;
    underscores_in_headers on;
    client_max_body_size 0; proxy_request_buffering off; proxy_max_temp_file_size 0;
    {self.BUFFERS[setup.bodies]}
    location / {{
      proxy_pass http://galaxy; proxy_http_version 1.1;
      proxy_set_header Connection $connection_upgrade; proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-Host $http_host;
      proxy_set_header X-Request-Id $request_id; {removed}
    }}
  }}
}}
""")
        return [debian_binary("nginx"), "-p", folder, "-c", path, "-e", "stderr"]


class HAProxy(Peer):
    name = "haproxy"

    def arguments(self):
        setup = self.setup
        servers = "\n".join(f"  server g{number} unix@{path} check inter 2s" for number, path in enumerate(self.sockets))
        removed = "\n".join(f"  http-request del-header {name}" for name in IDENTITY)
        splicing = "  option splice-request\n  option splice-response" if setup.splices else ""
        path = self.write(f"""
global
  maxconn {CONNECTIONS // 2 if setup.splices else CONNECTIONS}
  nbthread {setup.workers}
  tune.bufsize {65536 if setup.bodies == "large" else 16384}
  tune.pipesize 1048576
defaults
  mode http
  option http-keep-alive
{splicing}
  http-reuse always
  backlog 4096
  timeout client 75s
  timeout server 300s
  timeout connect 5s
  timeout tunnel 1h
frontend web
  bind 127.0.0.1:{self.port}{" defer-accept" if setup.defers else ""}
  unique-id-format %[uuid()]
  unique-id-header X-Request-Id
  http-request set-header X-Forwarded-For %[src]
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
{removed}
  default_backend galaxy
backend galaxy
  balance leastconn
  option httpchk GET /api/version
  default-server pool-purge-delay 60s
{servers}
""")
        return [debian_binary("haproxy"), "-db", "-f", path]


class Envoy(Peer):
    name = "envoy"
    suffix = "yaml"

    def arguments(self):
        setup = self.setup
        endpoints = "\n".join(
            f"              - endpoint: {{address: {{pipe: {{path: {path}}}}}}}" for path in self.sockets)
        options = "socket_options: [{level: 6, name: 9, int_value: 1, state: STATE_LISTENING}]" if setup.defers else ""
        # 1 MiB, the default, keeps as much for each slow reader.
        buffered = 32768 if setup.bodies == "slow" else 1048576
        removed = ", ".join(IDENTITY)
        path = self.write(f"""
static_resources:
  listeners:
    - address: {{socket_address: {{address: 127.0.0.1, port_value: {self.port}}}}}
      per_connection_buffer_limit_bytes: {buffered}
      tcp_backlog_size: 4096
      {options}
      filter_chains:
        - filters:
            - name: envoy.filters.network.http_connection_manager
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: web
                use_remote_address: true
                generate_request_id: true
                request_timeout: 0s
                common_http_protocol_options: {{headers_with_underscores_action: ALLOW}}
                upgrade_configs: [{{upgrade_type: websocket}}]
                http_filters:
                  - name: envoy.filters.http.router
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
                      suppress_envoy_headers: true
                      dynamic_stats: false
                route_config:
                  request_headers_to_remove: [{removed}]
                  request_headers_to_add:
                    - {{header: {{key: x-forwarded-host, value: "%REQ(:AUTHORITY)%"}}}}
                  virtual_hosts:
                    - name: galaxy
                      domains: ["*"]
                      routes: [{{match: {{prefix: /}}, route: {{cluster: galaxy, timeout: 0s}}}}]
  clusters:
    - name: galaxy
      connect_timeout: 5s
      lb_policy: LEAST_REQUEST
      per_connection_buffer_limit_bytes: {buffered}
      circuit_breakers:
        thresholds:
          - {{max_connections: {CONNECTIONS}, max_pending_requests: {CONNECTIONS}, max_requests: {CONNECTIONS}}}
      health_checks:
        - timeout: 2s
          interval: 2s
          unhealthy_threshold: 2
          healthy_threshold: 1
          http_health_check: {{path: /api/version}}
      load_assignment:
        cluster_name: galaxy
        endpoints:
          - lb_endpoints:
{endpoints}
""")
        return [envoy_binary(), "-c", path, "--concurrency", str(setup.workers), "--log-level", "error",
                "--use-dynamic-base-id"]


PEERS = {kind.name: kind for kind in (GalaxyLB, Nginx, HAProxy, Envoy)}
