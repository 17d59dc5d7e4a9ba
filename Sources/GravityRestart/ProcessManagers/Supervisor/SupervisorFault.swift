/// The faults of supervisor's XML-RPC interface (supervisor/xmlrpc.py, `Faults`).
enum SupervisorFault: Int, Sendable {
  case unknownMethod = 1
  case incorrectParameters = 2
  case badArguments = 3
  case signatureUnsupported = 4
  case shutdownState = 6
  case badName = 10
  case badSignal = 11
  case noFile = 20
  case notExecutable = 21
  case failed = 30
  case abnormalTermination = 40
  case spawnError = 50
  case alreadyStarted = 60
  case notRunning = 70
  case success = 80
  case alreadyAdded = 90
  case stillRunning = 91
  case cannotReread = 92
}
