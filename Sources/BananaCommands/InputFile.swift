import FoundationEssentials
import Imaging

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// What commands read: files, and standard input where a name is `-`.
enum InputFile {
  static let standardInput = "-"
  /// More than any daemon takes of a picture.
  private static let maximumPictureBytes = 64 << 20
  /// More than any daemon takes of a prompt.
  private static let maximumPromptBytes = 64 << 10

  /// The bytes of the PNG file at `path`.
  /// - Throws: `Failure` when it cannot be read or is no PNG.
  static func picture(_ path: String) throws -> Data {
    let isInput = path == standardInput
    let name = isInput ? "Standard input" : path
    if isInput, isatty(STDIN_FILENO) == 1 {
      throw Failure(
        code: .usage,
        message: "Standard input is a terminal. Give it the picture, as in: --image - < in.png")
    }
    if !isInput, FileKind(at: path) == .folder {
      throw Failure(
        code: .usage, message: "\(path) is a folder. Name a PNG file in it.")
    }
    let bytes =
      if isInput {
        try read(STDIN_FILENO, name, upTo: maximumPictureBytes)
      } else {
        try withFile(path) { try read($0, name, upTo: maximumPictureBytes) }
      }
    guard bytes.starts(with: PNG.signature) else {
      throw Failure(
        code: .usage, message: "\(name) cannot be used. \(PNGError.notPNG(FileFormat(bytes)))")
    }
    return Data(bytes)
  }

  /// A prompt on standard input, without the line's end.
  static func prompt() throws -> String {
    let bytes = try read(STDIN_FILENO, "Standard input", upTo: maximumPromptBytes)
    guard var text = String(validating: bytes, as: UTF8.self) else {
      throw Failure(
        code: .usage, message: "The prompt on standard input is not valid UTF-8. Convert it.")
    }
    while text.last?.isNewline == true { text.removeLast() }
    return text
  }

  private static func withFile<Result>(
    _ path: String, _ body: (Int32) throws -> Result
  ) throws -> Result {
    let descriptor = open(path, O_RDONLY | O_NOCTTY | O_CLOEXEC)
    guard descriptor >= 0 else { throw failure(path, errno) }
    defer { close(descriptor) }
    return try body(descriptor)
  }

  private static func read(_ descriptor: Int32, _ name: String, upTo limit: Int) throws -> [UInt8] {
    var bytes: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 64 << 10)
    while true {
      let count = piece.withUnsafeMutableBytes { systemRead(descriptor, $0) }
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw failure(name, errno) }
      if count == 0 { return bytes }
      bytes += piece[..<count]
      if bytes.count > limit {
        throw Failure(
          code: .usage,
          message: "\(name) has more than \(limit >> 10) KiB, which is more than is taken. Make it "
            + "smaller.")
      }
    }
  }

  private static func failure(_ name: String, _ error: Int32) -> Failure {
    Failure(
      code: .usage,
      message: "\(name) cannot be read: \(SystemReason.text(error)). Name a PNG file that is "
        + "yours.")
  }
}

/// `read(2)`, likewise.
private func systemRead(_ descriptor: Int32, _ bytes: UnsafeMutableRawBufferPointer) -> Int {
  read(descriptor, bytes.baseAddress, bytes.count)
}
