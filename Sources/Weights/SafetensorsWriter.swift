import Glibc

/// Writes .safetensors files whose data begins at a multiple of 64 bytes.
package enum SafetensorsWriter {
  /// A tensor to write.
  package struct Tensor: Sendable {
    package let name: String
    package let type: SafetensorsType
    package let shape: [Int]
    package let bytes: [UInt8]

    /// - Precondition: `bytes` are as many as `type` and `shape` say.
    package init(name: String, type: SafetensorsType, shape: [Int], bytes: [UInt8]) {
      precondition(bytes.count == shape.reduce(type.byteCount, *), "\(name): \(bytes.count) bytes")
      self.name = name
      self.type = type
      self.shape = shape
      self.bytes = bytes
    }
  }

  /// What a header says of a tensor.
  package struct Entry: Sendable {
    package let name: String
    package let type: SafetensorsType
    package let shape: [Int]

    var byteCount: Int { shape.reduce(type.byteCount, *) }

    package init(name: String, type: SafetensorsType, shape: [Int]) {
      self.name = name
      self.type = type
      self.shape = shape
    }
  }

  /// The bytes of a file of `tensors`. Those whose length is a multiple of 64 come first, so that
  /// each of them begins at one.
  package static func bytes(_ tensors: [Tensor], metadata: [String: String] = [:]) -> [UInt8] {
    let ordered = ordered(tensors, by: \.bytes.count)
    let entries = ordered.map { Entry(name: $0.name, type: $0.type, shape: $0.shape) }
    return ordered.reduce(into: header(entries, metadata)) { $0 += $1.bytes }
  }

  /// Writes a file of `tensors` beside `path` and renames it, so that `path` is always whole.
  package static func write(
    _ tensors: [Tensor], metadata: [String: String] = [:], to path: String
  ) throws(FileError) {
    let bytes = bytes(tensors, metadata: metadata)
    try UnfinishedFile.replace(
      path, failing: { $0 }, content: { (file) throws(FileError) in try file.append(bytes) })
  }

  /// Likewise a file of tensors that are never in memory at once.
  /// - Parameters:
  ///   - failing: What is thrown when the file cannot be written.
  ///   - content: Appends a tensor's bytes, piece by piece.
  package static func write<Failure: Error>(
    _ entries: [Entry], to path: String, failing: (FileError) -> Failure,
    _ content: (Entry, _ file: UnfinishedFile) throws(Failure) -> Void
  ) throws(Failure) {
    let ordered = ordered(entries, by: \.byteCount)
    func write(_ file: UnfinishedFile) throws(Failure) {
      do throws(FileError) {
        try file.append(header(ordered, [:]))
      } catch { throw failing(error) }
      for entry in ordered {
        let end = file.byteCount + entry.byteCount
        try content(entry, file)
        precondition(file.byteCount == end, "\(entry.name) has another length")
      }
    }
    try UnfinishedFile.replace(path, failing: failing, content: write)
  }

  private static func ordered<Part>(_ parts: [Part], by byteCount: (Part) -> Int) -> [Part] {
    parts.filter { byteCount($0) % 64 == 0 } + parts.filter { byteCount($0) % 64 != 0 }
  }

  /// The file's beginning, up to the numbers of `entries` in this order.
  private static func header(_ entries: [Entry], _ metadata: [String: String]) -> [UInt8] {
    var members: [String] = []
    if !metadata.isEmpty {
      let pairs = metadata.sorted { $0.key < $1.key }.map {
        "\(quoted($0.key)):\(quoted($0.value))"
      }
      members.append("\"__metadata__\":{\(pairs.joined(separator: ","))}")
    }
    var offset = 0
    for entry in entries {
      let shape = entry.shape.map(String.init).joined(separator: ",")
      let end = offset + entry.byteCount
      members.append(
        "\(quoted(entry.name)):{\"dtype\":\"\(entry.type.rawValue)\",\"shape\":[\(shape)],"
          + "\"data_offsets\":[\(offset),\(end)]}")
      offset = end
    }
    var header = Array("{\(members.joined(separator: ","))}".utf8)
    while (header.count + 8) % 64 != 0 { header.append(0x20) }
    return withUnsafeBytes(of: UInt64(header.count).littleEndian) { Array($0) } + header
  }

  /// Likewise where nothing else can go wrong.
  package static func write(
    _ entries: [Entry], to path: String,
    _ content: (Entry, _ file: UnfinishedFile) throws(FileError) -> Void
  ) throws(FileError) {
    try write(entries, to: path, failing: { $0 }, content)
  }

  private static func quoted(_ text: String) -> String {
    var quoted = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"", "\\": quoted += "\\\(scalar)"
      case _ where scalar.value < 0x20:
        let digits = String(scalar.value, radix: 16)
        quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: quoted.unicodeScalars.append(scalar)
      }
    }
    return quoted + "\""
  }
}

/// A file that is being written.
package final class UnfinishedFile {
  private let descriptor: Int32
  private let path: String
  fileprivate var byteCount = 0

  private init(descriptor: Int32, path: String) {
    self.descriptor = descriptor
    self.path = path
  }

  /// Writes what `content` gives beside `path`, and renames it, so that `path` is always whole.
  /// - Parameter failing: What is thrown when the file cannot be written.
  package static func replace<Failure: Error>(
    _ path: String, failing: (FileError) -> Failure,
    content: (UnfinishedFile) throws(Failure) -> Void
  ) throws(Failure) {
    let temporary = "\(path).\(getpid())-\(UInt32.random(in: 0...UInt32.max)).partial"
    let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else {
      throw failing(FileError(path: temporary, operation: "create", code: errno))
    }
    var isOpen = true
    func check(_ result: Int32) throws(Failure) {
      if result != 0 { throw failing(FileError(path: path, operation: "write", code: errno)) }
    }
    do throws(Failure) {
      try content(UnfinishedFile(descriptor: descriptor, path: path))
      try check(fsync(descriptor))
      isOpen = false
      try check(close(descriptor))
      try check(rename(temporary, path))
    } catch {
      if isOpen { close(descriptor) }
      unlink(temporary)
      throw error
    }
  }

  package func append(_ bytes: [UInt8]) throws(FileError) {
    var written = 0
    while written < bytes.count {
      let count = bytes.withUnsafeBytes {
        Glibc.write(descriptor, $0.baseAddress! + written, bytes.count - written)
      }
      if count > 0 {
        written += count
      } else if errno != EINTR {
        throw FileError(path: path, operation: "write", code: errno)
      }
    }
    byteCount += bytes.count
  }
}
