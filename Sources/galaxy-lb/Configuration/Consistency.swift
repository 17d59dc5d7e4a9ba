import Glibc
import SystemCalls
import UpstreamPool
import YAML

/// Checks what no single key can know: addresses and names used twice, and what the system makes of them.
func checkConsistency(_ configuration: Configuration, into diagnostics: inout Diagnostics) {
  checkAddresses(configuration, into: &diagnostics)
  checkNames(configuration.pools, into: &diagnostics)
  checkFolders(configuration, into: &diagnostics)
  checkRestarts(configuration, into: &diagnostics)
  checkDescriptors(configuration, into: &diagnostics)
}

private func checkAddresses(_ configuration: Configuration, into diagnostics: inout Diagnostics) {
  /// Addresses of one reader are compared by that reader, with its own words.
  enum User { case listener, explicitUpstream, gunicorn }
  var taken: [(endpoint: Endpoint, use: String, origin: Origin, user: User)] = []
  func take(_ endpoint: Endpoint, _ use: String, _ origin: Origin, by user: User) {
    let other = taken.first { earlier in
      if earlier.user == .gunicorn, user == .gunicorn { return false }
      if earlier.user == .listener, user != .listener {
        return earlier.endpoint.takesConnections(to: endpoint)
      }
      return earlier.endpoint.isSame(as: endpoint)
    }
    if let other {
      diagnostics.error(
        "\(endpoint) is used twice: as \(other.use) \(other.endpoint) (\(other.origin)) and as \(use)",
        at: origin)
    } else {
      taken.append((endpoint, use, origin, user))
    }
  }
  let settings = configuration.settings
  for endpoint in settings.listen {
    take(endpoint, "public address", configuration.origin(of: "listen"), by: .listener)
  }
  if case .at(let path) = settings.control {
    take(.unix(path: path), "control socket", configuration.origin(of: "control"), by: .listener)
  }
  if let metrics = settings.metrics {
    take(metrics, "address of the metrics", configuration.origin(of: "metrics"), by: .listener)
  }
  for pool in configuration.pools {
    for (upstream, details) in zip(pool.settings.upstreams, pool.details) {
      take(
        upstream.endpoint, "upstream '\(upstream.name)' of pool '\(pool.settings.name)'", details.origin,
        by: pool.urlPrefix == nil ? .explicitUpstream : .gunicorn)
    }
  }
}

private func checkNames(_ pools: [ConfiguredPool], into diagnostics: inout Diagnostics) {
  var poolsByName: [String: ConfiguredPool] = [:]
  for pool in pools {
    if let other = poolsByName[pool.settings.name] {
      // Equal names of two Galaxies are an error of Gravity's configuration, which its reader reports.
      if pool.urlPrefix != nil, other.urlPrefix != nil { continue }
      diagnostics.error(
        "the pool name '\(pool.settings.name)' is used twice, first at \(other.origin)", at: pool.origin)
    } else {
      poolsByName[pool.settings.name] = pool
    }
    var upstreamsByName: [String: UpstreamDetails] = [:]
    for (upstream, details) in zip(pool.settings.upstreams, pool.details) {
      if let other = upstreamsByName[upstream.name] {
        // Equal derived names come from equal addresses, which are an error already.
        if details.nameIsDerived, other.nameIsDerived { continue }
        diagnostics.error(
          "the upstream name '\(upstream.name)' is used twice in pool '\(pool.settings.name)', first at "
            + "\(other.origin)", at: details.origin)
      } else {
        upstreamsByName[upstream.name] = details
      }
    }
    let upstreams = pool.settings.upstreams
    if upstreams.count > UpstreamSet.capacity {
      diagnostics.error(
        "pool '\(pool.settings.name)' has \(upstreams.count) upstreams, expected at most \(UpstreamSet.capacity)",
        at: pool.origin)
    }
    if !upstreams.isEmpty, upstreams.allSatisfy(\.backup) {
      diagnostics.warning(
        "pool '\(pool.settings.name)' has only backup upstreams, which changes nothing for them",
        at: pool.origin)
    }
  }
}

/// gunicorn makes its socket with mode 0777 and removes it when it stops, so the folder decides who may talk to
/// Galaxy with any user's name, and who may put a socket of their own in its place.
private func checkFolders(_ configuration: Configuration, into diagnostics: inout Diagnostics) {
  var seen: Set<String> = []
  func check(_ path: String, _ origin: Origin) {
    let folder = folder(of: path)
    guard seen.insert(folder).inserted else { return }
    guard let status = FileStatus(of: folder) else {
      diagnostics.warning("the folder '\(folder)' of the socket can't be found", at: origin)
      return
    }
    if !status.isFolder {
      diagnostics.warning("'\(folder)' is not a folder, so no socket can be in it", at: origin)
    } else if status.isWritableByOthers {
      diagnostics.warning(
        "everybody can write to '\(folder)' and put another socket in the place of '\(path)'; a folder of its own "
          + "protects it", at: origin)
    }
  }
  // The reader of Gravity's configuration looks at the folders that this names.
  for pool in configuration.pools where pool.urlPrefix == nil {
    for (upstream, details) in zip(pool.settings.upstreams, pool.details) {
      if case .unix(let path) = upstream.endpoint { check(path, details.origin) }
    }
  }
  if case .at(let path) = configuration.settings.control { check(path, configuration.origin(of: "control")) }
}

/// A client and its upstream take a descriptor each; the soft limit can be raised up to the hard one.
private func checkDescriptors(_ configuration: Configuration, into diagnostics: inout Diagnostics) {
  var limit = rlimit()
  guard getrlimit(__rlimit_resource_t(UInt32(RLIMIT_NOFILE.rawValue)), &limit) == 0 else { return }
  let wanted = configuration.settings.limits.connections * 2
  if limit.rlim_max < UInt64(wanted) {
    diagnostics.warning(
      "limits.connections of \(configuration.settings.limits.connections) may need \(wanted) open files, and this "
        + "process may have \(limit.rlim_max) (ulimit -Hn)",
      at: configuration.origin(of: "limits.connections"))
  }
}
