import Glibc
import SystemCalls

/// supervisor's XML-RPC interface: calls, and what can go wrong with them.
struct SupervisorInterface: Sendable {
  var endpoint: Endpoint
  var credentials: SupervisorCredentials?

  private static let path = "/RPC2"

  /// What a call came to, faults that its caller can make something of included.
  enum Answer {
    case value(XMLRPCValue)
    case fault(SupervisorFault?, text: String)
  }

  /// - Parameter limit: no answer of supervisor's takes long here, as none waits for a program.
  func call(
    _ method: String, _ parameters: [XMLRPCCall.Parameter] = [], within limit: WaitLimit
  ) throws(ProcessManagerError) -> Answer {
    let post = HTTPCall(
      endpoint: endpoint, path: Self.path, fields: credentials.map { [$0.fieldLine] } ?? [],
      content: ("text/xml", XMLRPCCall(method: method, parameters: parameters).document),
      responseLimit: XMLRPCAnswer.limits.bytes)
    let response: HTTPCall.Response
    do throws(HTTPCall.Failure) {
      response = try post.send(within: limit)
    } catch {
      throw explain(error, method)
    }
    guard response.status == 200 else { throw explain(status: response.status, method) }
    let answer: XMLRPCAnswer
    do throws(XMLRPCError) {
      answer = try XMLRPCAnswer(parsing: response.content)
    } catch {
      throw malformed(error.description, method)
    }
    switch answer {
    case .value(let value): return .value(value)
    case .fault(let code, let text):
      let fault = SupervisorFault(rawValue: code)
      if fault == .shutdownState {
        throw ProcessManagerError(
          .unreachable, "supervisor at \(endpoint) is shutting down or restarting",
          advice: "try again when it is up")
      }
      return .fault(fault, text: text)
    }
  }

  /// A call whose faults all mean that it was refused.
  func value(
    of method: String, within limit: WaitLimit
  ) throws(ProcessManagerError) -> XMLRPCValue {
    switch try call(method, within: limit) {
    case .value(let value): return value
    case .fault(_, let text):
      throw ProcessManagerError(
        .refused, "supervisor at \(endpoint) refuses \(method): \(text)",
        advice: "its configuration needs [rpcinterface:supervisor] with "
          + "supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface")
    }
  }

  func malformed(_ reason: String, _ method: String) -> ProcessManagerError {
    ProcessManagerError(
      .malformedAnswer, "what answers \(method) at \(endpoint) is not supervisor: \(reason)",
      advice: "check that this is the address of supervisor's [unix_http_server] or [inet_http_server]")
  }

  private func explain(status: Int, _ method: String) -> ProcessManagerError {
    switch status {
    case 401, 403:
      return ProcessManagerError(
        .permissionDenied, "supervisor at \(endpoint) wants a user name and a password",
        advice: "give those that its server section has, or remove them there")
    case 500:
      return ProcessManagerError(
        .refused, "supervisor at \(endpoint) failed to do \(method) (status 500)",
        advice: "supervisord.log says why")
    default: return malformed("status \(status)", method)
    }
  }

  private func explain(_ failure: HTTPCall.Failure, _ method: String) -> ProcessManagerError {
    let start = "start it (`galaxyctl start` does), or correct the place of its socket"
    switch failure {
    case .notConnected(let error):
      switch error.code {
      case ENOENT:
        return ProcessManagerError(
          .unreachable, "supervisor is not running: there is no \(endpoint)", advice: start)
      case ECONNREFUSED:
        return ProcessManagerError(
          .unreachable, "supervisor is not running: nobody listens at \(endpoint)", advice: start)
      case EACCES, EPERM:
        return ProcessManagerError(
          .permissionDenied, "no permission to connect to supervisor at \(endpoint)",
          advice: "run galaxy-lb as \(owner), or as root")
      default:
        return ProcessManagerError(
          .unreachable, "supervisor can't be reached at \(endpoint): \(error)", advice: start)
      }
    case .unresolvable(let reason):
      return ProcessManagerError(.unreachable, reason, advice: "correct supervisor's address")
    case .pathTooLong(let count):
      return ProcessManagerError(
        .unreachable,
        "the path of supervisor's socket has \(count) bytes, the system's limit is \(Endpoint.longestUnixPath): "
          + endpoint.description,
        advice: "set SUPERVISORD_SOCKET to a shorter one, for Gravity and for galaxy-lb")
    case .notAccepted, .notAnswered:
      return ProcessManagerError(
        .timedOut, "supervisor at \(endpoint) does not answer \(method)",
        advice: "supervisord hangs or is stopped: look at its process and at supervisord.log")
    case .cancelled: return .cancelled("\(method) at \(endpoint)")
    case .lost(let reason):
      return ProcessManagerError(
        .unreachable, "the connection to supervisor at \(endpoint) broke during \(method): \(reason)",
        advice: "supervisord may have ended: look at supervisord.log")
    case .malformed(let reason): return malformed(reason, method)
    }
  }

  private var owner: String {
    guard case .unix(let path) = endpoint else { return "the user that supervisord runs as" }
    let folder = path.split(separator: "/").dropLast().reduce("") { "\($0)/\($1)" }
    let place = FileStatus(of: path) ?? FileStatus(of: folder)
    return place.map { "the user \($0.owner) that supervisord runs as" }
      ?? "the user that supervisord runs as"
  }
}
