"""The proxies, each as an expert would set it up for two gunicorns."""

import os

from proxy import Proxy, debian_binary, envoy_binary, galaxy_lb_binary


class GalaxyLB(Proxy):
    name = "galaxy-lb"

    def command(self):
        upstreams = "".join(f"      - unix:{path}\n" for path in self.sockets)
        return [galaxy_lb_binary(), "--config", self.write(f"""
listen: ["127.0.0.1:{self.port}"]
threads: 1
control: off
pools:
  main:
    health: {{probe: true}}
    hold: {{time: 30s}}
    upstreams:
{upstreams}""")]


class Nginx(Proxy):
    name = "nginx"
    # Further directives of the sections http and location.
    http = ""
    location = 'proxy_set_header Connection "";'

    def command(self):
        servers = " ".join(f"server unix:{path} max_fails=1 fail_timeout=1s;" for path in self.sockets)
        user = "user root;" if os.getuid() == 0 else ""
        path = self.write(f"""
{user}
worker_processes 1; daemon off; pid {self.folder}/nginx.pid; error_log stderr crit;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  client_body_temp_path {self.folder}/body; proxy_temp_path {self.folder}/proxy;
  fastcgi_temp_path {self.folder}/fastcgi; uwsgi_temp_path {self.folder}/uwsgi; scgi_temp_path {self.folder}/scgi;
  {self.http}
  upstream galaxy {{ least_conn; {servers} keepalive 64; keepalive_timeout 1500ms; }}
  server {{
    listen 127.0.0.1:{self.port} backlog=4096;
    keepalive_requests 1000000;
    location / {{
      proxy_pass http://galaxy; proxy_http_version 1.1; proxy_set_header Host $http_host;
      proxy_next_upstream error timeout; proxy_next_upstream_tries 3; proxy_connect_timeout 5s;
      {self.location}
    }}
  }}
}}
""")
        return [debian_binary("nginx"), "-p", self.folder, "-c", path, "-e", "stderr"]


class HAProxy(Proxy):
    name = "haproxy"
    # Further lines of the sections global and defaults.
    process_options = ""
    defaults = ""

    def command(self):
        servers = "\n".join(
            f"  server g{number} unix@{path} check inter 250ms fall 2 rise 1 pool-purge-delay 1s"
            for number, path in enumerate(self.sockets))
        path = self.write(f"""
global
  maxconn 8000
  nbthread 1
  {self.process_options}
defaults
  {self.defaults}
  mode http
  option http-keep-alive
  option redispatch 1
  retries 10
  retry-on conn-failure empty-response response-timeout
  http-reuse safe
  backlog 4096
  timeout client 60s
  timeout server 60s
  timeout connect 5s
  timeout queue 30s
frontend web
  bind 127.0.0.1:{self.port}
  http-request disable-l7-retry unless {{ method GET HEAD OPTIONS }}
  default_backend galaxy
backend galaxy
  balance leastconn
  option httpchk GET /api/version
  http-check expect status 200
  default-server observe layer4 error-limit 1 on-error mark-down
{servers}
""")
        return [debian_binary("haproxy"), "-db", "-f", path]


class Envoy(Proxy):
    name = "envoy"
    suffix = "yaml"

    def command(self):
        endpoints = "\n".join(
            f"              - endpoint: {{address: {{pipe: {{path: {path}}}}}}}" for path in self.sockets)
        path = self.write(f"""
static_resources:
  listeners:
    - address: {{socket_address: {{address: 127.0.0.1, port_value: {self.port}}}}}
      filter_chains:
        - filters:
            - name: envoy.filters.network.http_connection_manager
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: web
                http_filters:
                  - name: envoy.filters.http.router
                    typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
                route_config:
                  virtual_hosts:
                    - name: galaxy
                      domains: ["*"]
                      routes:
                        - match: {{prefix: /}}
                          route:
                            cluster: galaxy
                            timeout: 60s
                            retry_policy:
                              retry_on: connect-failure
                              num_retries: 30
                              retry_back_off: {{base_interval: 0.1s, max_interval: 1s}}
  clusters:
    - name: galaxy
      connect_timeout: 5s
      lb_policy: LEAST_REQUEST
      circuit_breakers:
        thresholds:
          - {{max_connections: 8192, max_pending_requests: 8192, max_requests: 8192, max_retries: 8192}}
      typed_extension_protocol_options:
        envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
          "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
          common_http_protocol_options: {{idle_timeout: 1.5s}}
          explicit_http_config: {{http_protocol_options: {{}}}}
      health_checks:
        - timeout: 2s
          interval: 0.25s
          no_traffic_interval: 0.25s
          unhealthy_threshold: 2
          healthy_threshold: 1
          http_health_check: {{path: /api/version}}
      load_assignment:
        cluster_name: galaxy
        endpoints:
          - lb_endpoints:
{endpoints}
""")
        return [envoy_binary(), "-c", path, "--concurrency", "1", "--log-level", "error", "--use-dynamic-base-id"]


PEERS = {kind.name: kind for kind in (GalaxyLB, Nginx, HAProxy, Envoy)}
