/// A command of the configuration.
public struct RestartCommand: Hashable, Sendable {
  public enum Form: Hashable, Sendable {
    /// A program and its arguments, as they are: nothing needs quotes. What a list in the configuration means.
    case program(String, arguments: [String])
    /// A line for sh(1). What a text in the configuration means, as it does in a crontab.
    case shell(String)
  }

  public var form: Form
  /// Where it starts; nil for galaxy-lb's own folder.
  public var workingDirectory: String?

  public init(_ form: Form, workingDirectory: String? = nil) {
    self.form = form
    self.workingDirectory = workingDirectory
  }

  var program: String {
    switch form {
    case .program(let program, _): program
    case .shell: "/bin/sh"
    }
  }

  var arguments: [String] {
    switch form {
    case .program(_, let arguments): arguments
    case .shell(let line): ["-c", line]
    }
  }
}

extension RestartCommand: CustomStringConvertible {
  /// For messages: the program's name, or the line.
  public var description: String {
    switch form {
    case .program(let program, _): program
    case .shell(let line): line
    }
  }
}
