import BananaSDK
import FoundationEssentials

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The files that pictures are written to.
enum PictureFiles {
  /// `out.png` for one picture, `out-1.png`, `out-2.png`, … for several.
  static func paths(for output: String, count: Int) -> [String] {
    guard count > 1 else { return [output] }
    let slash = output.lastIndex(of: "/").map(output.index(after:)) ?? output.startIndex
    let dot = output[slash...].lastIndex(of: ".").flatMap { $0 > slash ? $0 : nil }
    let stem = output[..<(dot ?? output.endIndex)]
    let suffix = dot.map { output[$0...] } ?? ""
    return (1...count).map { "\(stem)-\($0)\(suffix)" }
  }

  /// Says early what would fail once the picture is drawn.
  static func checkFolder(of path: String) throws {
    let folder = URL(filePath: path).deletingLastPathComponent().path
    guard access(folder, W_OK | X_OK) != 0 else { return }
    throw failure(path, reason: String(cString: strerror(errno)))
  }

  /// Writes beside `path` and renames, so that nobody ever sees half a picture.
  static func write(_ png: Data, to path: String) throws {
    do {
      try png.write(to: URL(filePath: path), options: .atomic)
    } catch {
      throw failure(path, reason: reason(error))
    }
  }

  private static func failure(_ path: String, reason: String) -> Failure {
    let folder = URL(filePath: path).deletingLastPathComponent().path
    return Failure(
      code: .other,
      message: "\(path) cannot be written (\(reason)). Check that \(folder) exists, is yours and "
        + "has room, or choose another file with -o.")
  }

  /// The bytes of the picture at `path`.
  static func read(_ path: String) throws -> Data {
    do {
      return try Data(contentsOf: URL(filePath: path))
    } catch {
      throw Failure(
        code: .usage,
        message: "\(path) cannot be read (\(Self.reason(error))). Name a PNG file that is yours.")
    }
  }

  private static func reason(_ error: any Error) -> String {
    switch (error as? CocoaError)?.code {
    case .fileReadNoSuchFile: "no such file"
    case .fileReadNoPermission: "no permission"
    case .fileNoSuchFile: "no such folder"
    case .fileWriteNoPermission: "no permission"
    case .fileWriteOutOfSpace: "no space left"
    case .fileWriteVolumeReadOnly: "read-only file system"
    default: "\(error)"
    }
  }
}
