import Glibc

/// What is at a path.
struct FileFacts {
  let exists: Bool
  let isFolder: Bool
  /// Why nothing is known (errno); 0 if something is.
  let error: Int32

  init(_ path: String) {
    var status = stat()
    let isKnown = stat(path, &status) == 0
    error = isKnown ? 0 : errno
    exists = isKnown
    isFolder = isKnown && status.st_mode & S_IFMT == S_IFDIR
  }

  /// The last part of a path, without slashes.
  static func name(of path: String) -> String {
    path.split(separator: "/").last.map(String.init) ?? path
  }

  /// The names in a folder, sorted; none if it cannot be read.
  static func names(in folder: String) -> [String] {
    guard let stream = opendir(folder) else { return [] }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != "." && name != ".." { names.append(name) }
    }
    return names.sorted()
  }
}
