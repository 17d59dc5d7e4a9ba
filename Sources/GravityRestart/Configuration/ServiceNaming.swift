/// How Gravity names the gunicorns of one Galaxy, and what the process managers make of these names.
///
/// Gravity's own documentation prints `gunicorn:0` for supervisor's first service instance; its code, and
/// supervisor, say `gunicorn:gunicorn_0`.
struct ServiceNaming {
  /// The instance's name; nil when names leave it out: for the only instance, if it is called `_default_`.
  var instance: String?
  /// True when `gunicorn` is a list.
  var isList: Bool
  /// True when the items of a list are instances of one service; false when each is a service of its own.
  var usesServiceInstances: Bool
  /// How many items are enabled.
  var enabled: Int

  private var hasInstances: Bool { isList && usesServiceInstances && enabled > 1 }

  /// - Parameter index: the item's place in the list, disabled ones counted.
  func serviceName(index: Int) -> String {
    isList && !usesServiceInstances ? "gunicorn\(index)" : "gunicorn"
  }

  /// The program as supervisor's commands take it.
  ///
  /// - Parameter number: the item's place among the enabled ones.
  func supervisorProgram(index: Int, number: Int) -> String {
    let service = serviceName(index: index)
    switch (instance, hasInstances) {
    case (let instance?, true): return "\(instance):\(service)\(number)"
    case (let instance?, false): return "\(instance):\(service)"
    case (nil, true): return "\(service):\(service)_\(number)"
    case (nil, false): return service
    }
  }

  /// - Parameter number: the item's place among the enabled ones.
  func systemdUnit(index: Int, number: Int) -> String {
    let owner = instance.map { "galaxy-\($0)" } ?? "galaxy"
    return "\(owner)-\(serviceName(index: index))\(hasInstances ? "@\(number)" : "").service"
  }
}
