import Glibc
import YAML

var diagnostics = Diagnostics()
switch Verb(arguments: CommandLine.arguments, diagnostics: &diagnostics) {
case .serve(let settings): exit(RunProxy.run(settings))
case .check(let settings): exit(Check.run(settings).rawValue)
case .graceful(let command): exit(command.run().rawValue)
case .abort(let command): exit(command.run().rawValue)
case .status(let command): exit(command.run().rawValue)
case .drain(let command): exit(command.run().rawValue)
case .ready(let command): exit(command.run().rawValue)
case .maintenance(let command): exit(command.run().rawValue)
case .weight(let command): exit(command.run().rawValue)
case .version: exit(Version.run().rawValue)
case .help: exit(Help.run().rawValue)
case nil:
  complain(diagnostics)
  exit(ExitStatus.usage.rawValue)
}
