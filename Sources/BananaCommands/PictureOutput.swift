import FoundationEssentials

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Where the pictures of a command go, looked at before anything is drawn.
struct PictureOutput: Sendable {
  /// What is at a path, all links followed.
  enum Place: Equatable {
    case standardOutput
    /// No file: a device, a FIFO, a descriptor. It is written through.
    case stream(path: String)
    /// A file, which may not be there yet.
    case file(path: String)
  }

  struct Picture: Equatable {
    /// As it was named, with the picture's number.
    var path: String
    var place: Place
  }

  static let standardOutput = "-"
  private static let descriptorNames = ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"]

  let pictures: [Picture]

  /// - Throws: `Failure` for what could not be written.
  init(_ output: String, count: Int) throws {
    if output == Self.standardOutput || Self.descriptorNames.contains(output) {
      guard count == 1 else { throw Self.several(output, "standard output is one file") }
      guard isatty(STDOUT_FILENO) != 1 else {
        throw Failure(
          code: .usage,
          message: "Standard output is a terminal, which cannot show a PNG file. Send it on, as "
            + "in: banana generate PROMPT -o - > out.png")
      }
      pictures = [Picture(path: output, place: .standardOutput)]
      return
    }
    guard !output.isEmpty else {
      throw Failure(code: .usage, message: "-o has no name. Name a file, such as out.png.")
    }
    if let kind = FileKind(at: output), kind.isStream {
      guard count == 1 || kind == .characterDevice else {
        throw Self.several(output, "it is \(kind.rawValue) and takes one after the other as one")
      }
      try WritableFile.checkStream(output, kind)
      pictures = Array(
        repeating: Picture(path: output, place: .stream(path: output)), count: count)
      return
    }
    pictures = try Self.paths(for: output, count: count).map { path in
      try Self.checkName(path)
      if let kind = FileKind(at: path), kind.isStream {
        try WritableFile.checkStream(path, kind)
        return Picture(path: path, place: .stream(path: path))
      }
      return Picture(path: path, place: try WritableFile.place(of: path))
    }
  }

  /// Whether standard output has the picture, so that the report has to go elsewhere.
  var takesStandardOutput: Bool { pictures.contains { $0.place == .standardOutput } }

  /// Writes the pictures.
  func write(_ files: [Data]) async throws {
    for (data, picture) in zip(files, pictures) {
      switch picture.place {
      case .standardOutput:
        try await StreamWriter.write(data, to: STDOUT_FILENO, named: "standard output")
      case .stream(let path): try await StreamWriter.write(data, through: path)
      case .file(let path): try WritableFile.write(data, to: path, named: picture.path)
      }
    }
  }

  /// `out.png` for one picture, `out-1.png`, `out-2.png`, … for several.
  static func paths(for output: String, count: Int) -> [String] {
    guard count > 1 else { return [output] }
    // By bytes: a mark that follows belongs to the character before it, a separator's too.
    let bytes = Array(output.utf8)
    let name = (bytes.lastIndex(of: UInt8(ascii: "/")) ?? -1) + 1
    let dot = bytes.lastIndex(of: UInt8(ascii: ".")).flatMap { $0 > name ? $0 : nil }
    let stem = String(decoding: bytes[..<(dot ?? bytes.count)], as: UTF8.self)
    let suffix = String(decoding: bytes[(dot ?? bytes.count)...], as: UTF8.self)
    return (1...count).map { "\(stem)-\($0)\(suffix)" }
  }

  private static func several(_ output: String, _ reason: String) -> Failure {
    Failure(
      code: .usage,
      message: "Several pictures cannot go to \(output): \(reason). Leave --count out, or name a "
        + "file with -o.")
  }

  /// Endings that promise another format than the one that is written.
  private static let otherFormats: Set = [
    "jpg", "jpeg", "jpe", "jfif", "webp", "gif", "bmp", "tif", "tiff", "avif", "heic", "heif",
    "jxl", "jp2", "svg", "ico", "pdf", "ps", "eps", "psd", "qoi", "ppm", "pgm", "pbm", "pnm", "pam",
    "exr", "tga", "mp4", "webm",
  ]

  private static func checkName(_ path: String) throws {
    // By bytes, as above.
    let bytes = Array(path.utf8)
    let name = bytes[((bytes.lastIndex(of: UInt8(ascii: "/")) ?? -1) + 1)...]
    if name.isEmpty { throw WritableFile.isFolder(path) }
    let dot = name.lastIndex(of: UInt8(ascii: ".")) ?? name.endIndex
    let ending = String(decoding: name[dot...].dropFirst(), as: UTF8.self).lowercased()
    if otherFormats.contains(ending) {
      let stem = String(path.dropLast(ending.count))
      throw Failure(
        code: .usage,
        message: "\(path) would not be what its name says: banana writes PNG. Name it \(stem)png.")
    }
    let folder = WritableFile.folder(of: path)
    let limit = pathconf(folder, Int32(_PC_NAME_MAX))
    let maximum = limit > 0 ? limit : 255
    if name.count > maximum || path.utf8.count >= Int(PATH_MAX) {
      throw Failure(
        code: .usage,
        message: "The name \(String(decoding: name, as: UTF8.self).prefix(24))… is too long: the "
          + "system takes \(maximum) bytes in a name and \(PATH_MAX - 1) in a path. Choose a "
          + "shorter one with -o.")
    }
  }
}
