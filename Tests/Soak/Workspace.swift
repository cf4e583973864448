import Foundation

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The folder of one run: sockets, state, log, reference pictures, what clients tell each other.
struct Workspace: Codable, Sendable {
  /// Short, because the path of a socket is.
  let folder: String

  var socket: String { folder + "/b.sock" }
  var adminSocket: String { folder + "/admin.sock" }
  var state: String { folder + "/state" }
  var config: String { folder + "/config.json" }
  var log: String { folder + "/bananad.log" }
  /// Copies of the peels, which other users may read.
  var peels: String { folder + "/peels" }
  /// Ids of stored jobs, `UID-CLIENT` each, for others to try.
  var ids: String { folder + "/ids" }
  var reports: String { folder + "/reports" }
  /// Pictures that are not what they had to be, as clients got them.
  var wrongPictures: String { folder + "/wrong" }

  func picture(_ kind: Int, _ index: Int) -> String { "\(folder)/pictures/\(kind)-\(index).png" }
  var editImage: String { folder + "/pictures/image.png" }
  var editMask: String { folder + "/pictures/mask.png" }
  func peel(_ which: Int) -> String { "\(peels)/\(Self.peelNames[which]).safetensors" }

  /// The shipped peels that clients install as their own.
  static let peelNames = ["pixel-art", "noto"]

  /// Makes an empty one, with copies of the peels in `peelsDirectory`.
  static func make(peelsDirectory: String) throws -> Workspace {
    var template = Array("/tmp/banana-soak-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw SoakError("no folder in /tmp: errno \(errno)") }
    let space = Workspace(
      folder: String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self))
    let files = FileManager.default
    for path in [
      space.folder + "/pictures", space.peels, space.ids, space.reports, space.wrongPictures,
    ] {
      try files.createDirectory(atPath: path, withIntermediateDirectories: true)
    }
    // Clients of other users read here, and write into three of the folders.
    for path in [space.folder, space.folder + "/pictures", space.peels] { chmod(path, 0o755) }
    for path in [space.ids, space.reports, space.wrongPictures] { chmod(path, 0o1777) }
    for name in try files.contentsOfDirectory(atPath: peelsDirectory)
    where name.hasSuffix(".safetensors") {
      try files.copyItem(atPath: "\(peelsDirectory)/\(name)", toPath: "\(space.peels)/\(name)")
      chmod("\(space.peels)/\(name)", 0o644)
    }
    return space
  }

  /// Removes it, unless there are wrong pictures to look at.
  func remove() {
    let wrong = (try? FileManager.default.contentsOfDirectory(atPath: wrongPictures)) ?? []
    if wrong.isEmpty {
      try? FileManager.default.removeItem(atPath: folder)
    } else {
      print(
        "\nWrong pictures are in \(wrongPictures), those of the calm daemon in "
          + "\(folder)/pictures.")
    }
  }

  /// Every file below the daemon's state, relative to it, but for what it remembers of its models.
  var stateFiles: [String] {
    let all = FileManager.default.enumerator(atPath: state)?.compactMap { $0 as? String } ?? []
    return all.filter { path in
      var isDirectory: ObjCBool = false
      let exists = FileManager.default.fileExists(
        atPath: "\(state)/\(path)", isDirectory: &isDirectory)
      return exists && !isDirectory.boolValue && path != "checked-files.json"
    }
  }
}

/// Why a run cannot begin or go on.
struct SoakError: Error, CustomStringConvertible {
  let description: String

  init(_ description: String) {
    self.description = description
  }
}

/// The clock that all processes of a run share.
enum Clock {
  /// Seconds since the machine started.
  static var now: Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
  }
}
