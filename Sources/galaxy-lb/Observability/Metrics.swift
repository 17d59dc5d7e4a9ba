import UpstreamPool

extension ControlPlane {
  /// All metrics: `GET /metrics`. Names follow https://prometheus.io/docs/practices/naming/.
  var metricsText: [UInt8] {
    var text = PrometheusText()
    writeProcess(to: &text)
    writeClients(to: &text)
    writePools(to: &text)
    writeUpstreamStates(to: &text)
    writeUpstreamTraffic(to: &text)
    writeFirstBytes(to: &text)
    return text.bytes
  }

  private func writeProcess(to text: inout PrometheusText) {
    text.begin("galaxy_lb_build_info", .gauge, "The version that runs, always 1.")
    text.sample("galaxy_lb_build_info", [("version", Version.number)], 1)
    text.metric(
      "galaxy_lb_start_time_seconds", .gauge, "When the proxy started, in seconds since 1970.",
      Double(startedTime.milliseconds) / 1000)
    text.metric(
      "galaxy_lb_uptime_seconds", .gauge, "For how long the proxy has run.", Double(now - startedAt) / 1000)
    text.metric("galaxy_lb_event_loops", .gauge, "Event loops, a thread each.", site.loops)
    text.begin("galaxy_lb_reloads_total", .counter, "Reloads of the configuration.")
    text.sample("galaxy_lb_reloads_total", [("result", "done")], reloads)
    text.sample("galaxy_lb_reloads_total", [("result", "refused")], refusedReloads)
  }

  private func writeClients(to text: inout PrometheusText) {
    text.metric(
      "galaxy_lb_client_connections", .gauge, "Client connections that are open.", census.clientCount)
    text.metric(
      "galaxy_lb_client_connections_total", .counter, "Client connections that were accepted.",
      census.connections)
    text.metric(
      "galaxy_lb_client_connections_refused_total", .counter,
      "Client connections that were refused because there were too many.", census.refusedConnections)
    text.begin("galaxy_lb_requests_total", .counter, "Requests that have ended, by why.")
    for reason in EndReason.all {
      text.sample("galaxy_lb_requests_total", [("outcome", reason.name)], census.count(of: reason))
    }
  }

  private func writePools(to text: inout PrometheusText) {
    let pools = site.pools.map { (labels: [("pool", $0.name)] as PrometheusText.Labels, $0.line.figures) }
    text.begin("galaxy_lb_held_requests", .gauge, "Requests that wait for an upstream.")
    for (labels, figures) in pools { text.sample("galaxy_lb_held_requests", labels, figures.waiting) }
    text.begin("galaxy_lb_held_bytes", .gauge, "Memory of the requests that wait for an upstream.")
    for (labels, figures) in pools { text.sample("galaxy_lb_held_bytes", labels, figures.waitingBytes) }
    text.begin(
      "galaxy_lb_holds_total", .counter, "Requests that waited for an upstream, by what became of them.")
    for (labels, figures) in pools {
      text.sample("galaxy_lb_holds_total", labels + [("result", "admitted")], figures.admitted)
      text.sample("galaxy_lb_holds_total", labels + [("result", "gave_up")], figures.gaveUp)
      text.sample("galaxy_lb_holds_total", labels + [("result", "refused")], figures.refused)
    }
    text.begin("galaxy_lb_longest_hold_seconds", .gauge, "The longest wait of a request that was admitted.")
    for (labels, figures) in pools {
      text.sample("galaxy_lb_longest_hold_seconds", labels, Double(figures.longest) / 1000)
    }
  }

  private func labels(_ pool: Pool, _ upstream: Upstream) -> PrometheusText.Labels {
    [("pool", pool.name), ("upstream", upstream.settings.name)]
  }

  private func writeUpstreamStates(to text: inout PrometheusText) {
    var name = "galaxy_lb_upstream_administrative_state"
    text.begin(name, .gauge, "1 for the state that people or a restart want, 0 for the others.")
    for (pool, upstream) in upstreams {
      for state in AdministrativeState.allCases {
        let isIn = upstream.state.administrative == state ? 1 : 0
        text.sample(name, labels(pool, upstream) + [("state", state.name)], isIn)
      }
    }
    name = "galaxy_lb_upstream_operational_state"
    text.begin(name, .gauge, "1 for the state that checks and traffic have found, 0 for the others.")
    for (pool, upstream) in upstreams {
      for state in OperationalState.allCases {
        let isIn = upstream.state.operational == state ? 1 : 0
        text.sample(name, labels(pool, upstream) + [("state", state.name)], isIn)
      }
    }
    each("galaxy_lb_upstream_eligible", .gauge, "1 when it takes new requests.", &text) {
      $0.state.isEligible ? 1 : 0
    }
    each("galaxy_lb_upstream_weight", .gauge, "Its share beside the others of the pool.", &text) { $0.weight }
    each(
      "galaxy_lb_upstream_transitions_total", .counter, "Changes of the operational state.", &text
    ) { $0.transitions }
  }

  /// A metric with one sample for each upstream.
  private func each(
    _ name: String, _ kind: PrometheusText.Kind, _ help: String, _ text: inout PrometheusText,
    _ value: (Upstream) -> Int
  ) {
    text.begin(name, kind, help)
    for (pool, upstream) in upstreams { text.sample(name, labels(pool, upstream), value(upstream)) }
  }

  private func writeUpstreamTraffic(to text: inout PrometheusText) {
    var name = "galaxy_lb_upstream_requests_in_flight"
    text.begin(name, .gauge, "Requests that it has, by class of traffic.")
    for (pool, upstream) in upstreams {
      for traffic in TrafficClass.allCases {
        text.sample(name, labels(pool, upstream) + [("class", traffic.name)], upstream.inFlight(traffic))
      }
    }
    each("galaxy_lb_upstream_requests_total", .counter, "Requests sent to it, retries included.", &text) {
      $0.total { $0.requests.current }
    }
    name = "galaxy_lb_upstream_responses_total"
    text.begin(name, .counter, "Responses from it, by the first digit of their status.")
    for (pool, upstream) in upstreams {
      for hundreds in Upstream.statusClasses {
        let count = upstream.total { $0.answers(hundreds: hundreds) }
        text.sample(name, labels(pool, upstream) + [("status", "\(hundreds)xx")], count)
      }
    }
    each("galaxy_lb_upstream_connects_total", .counter, "Requests sent on a new connection.", &text) {
      $0.total { $0.connects.current }
    }
    each("galaxy_lb_upstream_reuses_total", .counter, "Requests sent on a connection that was kept.", &text) {
      $0.total { $0.reuses.current }
    }
    each("galaxy_lb_upstream_retries_total", .counter, "Requests sent again after it failed them.", &text) {
      $0.total { $0.retries.current }
    }
    name = "galaxy_lb_upstream_failures_total"
    text.begin(name, .counter, "Its failures, by kind.")
    for (pool, upstream) in upstreams {
      for failure in UpstreamFailure.allCases {
        text.sample(name, labels(pool, upstream) + [("kind", failure.name)], upstream.failures(failure))
      }
    }
  }

  private func writeFirstBytes(to text: inout PrometheusText) {
    let name = "galaxy_lb_upstream_time_to_first_byte_seconds"
    text.begin(name, .histogram, "From sending a request to the first byte of its response.")
    let bounds = UpstreamStatistics.firstByteBounds.map { "\(Double($0) / 1000)" } + ["+Inf"]
    for (pool, upstream) in upstreams {
      let labels = labels(pool, upstream)
      var sum = 0
      for (place, bound) in bounds.enumerated() {
        sum += upstream.total { $0.answers(firstByteClass: place) }
        text.sample("\(name)_bucket", labels + [("le", bound)], sum)
      }
      text.sample("\(name)_sum", labels, Double(upstream.total { $0.firstByteSum.current }) / 1_000_000)
      text.sample("\(name)_count", labels, sum)
    }
  }
}
