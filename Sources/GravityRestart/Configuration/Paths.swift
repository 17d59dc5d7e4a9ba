// Paths as Python's os.path treats them: as text, without asking the file system.

/// `path` as it is from `folder`, if it is relative.
func join(_ folder: String, _ path: String) -> String {
  if path.hasPrefix("/") || folder.isEmpty { return path }
  return folder.hasSuffix("/") ? folder + path : folder + "/" + path
}

/// `path` from the root of the file system, without `.`, `..` and doubled slashes.
func absolute(_ path: String, in folder: String) -> String {
  var parts: [Substring] = []
  for part in join(folder, path).split(separator: "/") where part != "." {
    if part == ".." {
      _ = parts.popLast()
    } else {
      parts.append(part)
    }
  }
  return "/" + parts.joined(separator: "/")
}

/// The folder of an absolute path.
func parent(of path: String) -> String {
  guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else { return "/" }
  return String(path[..<slash])
}
