import FoundationEssentials

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Writes to what has a reader, and waits for it so that the wait can be cancelled.
enum StreamWriter {
  private static let pause = Duration.milliseconds(10)

  /// Opens a device or FIFO, which stays what it is, and writes through it.
  static func write(_ data: Data, through path: String) async throws {
    var isSaid = false
    var (descriptor, error) = opened(path)
    // A FIFO that nobody reads.
    while descriptor < 0, error == ENXIO {
      if !isSaid { Terminal.writeError("banana: \(path) waits for somebody who reads it.\n") }
      isSaid = true
      try await Task.sleep(for: pause)
      (descriptor, error) = opened(path)
    }
    guard descriptor >= 0 else { throw WritableFile.failure(path, error) }
    defer { close(descriptor) }
    try await write(data, to: descriptor, named: path)
  }

  private static func opened(_ path: String) -> (descriptor: Int32, error: Int32) {
    let descriptor = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
    return (descriptor, errno)
  }

  static func write(_ data: Data, to descriptor: Int32, named name: String) async throws {
    var rest = Array(data)[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { systemWrite(descriptor, $0) }
      if count >= 0 {
        rest = rest.dropFirst(count)
      } else if errno == EAGAIN {
        try await Task.sleep(for: pause)
      } else if errno != EINTR {
        throw Failure(
          code: .other,
          message: "\(name) cannot be written: \(SystemReason.text(errno)). Send it elsewhere.")
      }
    }
  }
}

/// `write(2)`, under a name that no type's own `write` hides.
func systemWrite(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
  write(descriptor, bytes.baseAddress, bytes.count)
}
