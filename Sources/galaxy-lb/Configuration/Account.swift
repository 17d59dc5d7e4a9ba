import Glibc
import YAML

extension RunAs {
  /// Looks up whom to become (getpwnam(3), getgrnam(3)), by name or by number, and reports who doesn't exist.
  ///
  /// Without a group it is the user's own; without a user only the group changes. Nil when neither is given or one
  /// is missing.
  init?(user: Sourced<String>?, group: Sourced<String>?, into diagnostics: inout Diagnostics) {
    let account = user.flatMap { Self.account($0.value) }
    let chosenGroup = group.flatMap { SystemGroup($0.value) }
    if let user, account == nil {
      diagnostics.error("user: found '\(user.value)', expected a user of this system", at: user.origin)
    }
    if let group, chosenGroup == nil {
      diagnostics.error("group: found '\(group.value)', expected a group of this system", at: group.origin)
    }
    guard user != nil || group != nil, (account == nil) == (user == nil),
      (chosenGroup == nil) == (group == nil)
    else { return nil }
    let number = account?.user ?? geteuid()
    let groupNumber = chosenGroup?.number ?? account?.group ?? getegid()
    self.init(
      user: number, group: groupNumber,
      userName: account?.name ?? Self.account(String(number))?.name ?? String(number),
      groupName: chosenGroup?.name ?? SystemGroup(String(groupNumber))?.name ?? String(groupNumber))
    if geteuid() != 0, number != geteuid() {
      diagnostics.warning(
        "user: only root can become another user, and this process is not root", at: user?.origin ?? .builtIn)
    }
  }

  private static func account(_ text: String) -> (name: String, user: UInt32, group: UInt32)? {
    var entry = passwd()
    return withEntry(passwd.self, &entry) { entry, buffer, size, result in
      let number = UInt32(text)
      return number.map { getpwuid_r($0, entry, buffer, size, result) }
        ?? getpwnam_r(text, entry, buffer, size, result)
    } take: {
      (String(cString: $0.pw_name), $0.pw_uid, $0.pw_gid)
    }
  }
}

extension SystemGroup {
  /// Looks a group up by name or by number (getgrnam(3)); nil when the system has none such.
  init?(_ text: String) {
    var entry = Glibc.group()
    let found = withEntry(Glibc.group.self, &entry) { entry, buffer, size, result in
      let number = UInt32(text)
      return number.map { getgrgid_r($0, entry, buffer, size, result) }
        ?? getgrnam_r(text, entry, buffer, size, result)
    } take: {
      SystemGroup(number: $0.gr_gid, name: String(cString: $0.gr_name))
    }
    guard let found else { return nil }
    self = found
  }
}

/// Calls one of the reentrant functions of getpwnam(3) with a buffer that grows while it asks for more
/// (ERANGE), up to 1 MiB. The entry is valid only inside `take`.
private func withEntry<Entry, Value>(
  _ type: Entry.Type, _ entry: inout Entry,
  ask: (
    UnsafeMutablePointer<Entry>, UnsafeMutablePointer<CChar>, Int,
    UnsafeMutablePointer<UnsafeMutablePointer<Entry>?>
  ) -> Int32,
  take: (Entry) -> Value
) -> Value? {
  var size = 4096
  while size <= 1 << 20 {
    var result: UnsafeMutablePointer<Entry>?
    let buffer = UnsafeMutablePointer<CChar>.allocate(capacity: size)
    defer { buffer.deallocate() }
    let code = ask(&entry, buffer, size, &result)
    if code == 0 { return result.map { take($0.pointee) } }
    guard code == ERANGE || code == EINTR else { return nil }
    if code == ERANGE { size *= 4 }
  }
  return nil
}
