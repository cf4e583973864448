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

  /// The bytes of a file of `tensors`. Those whose length is a multiple of 64 come first, so that
  /// each of them begins at one.
  package static func bytes(_ tensors: [Tensor], metadata: [String: String] = [:]) -> [UInt8] {
    let ordered =
      tensors.filter { $0.bytes.count % 64 == 0 } + tensors.filter { $0.bytes.count % 64 != 0 }
    var members: [String] = []
    if !metadata.isEmpty {
      let pairs = metadata.sorted { $0.key < $1.key }.map {
        "\(quoted($0.key)):\(quoted($0.value))"
      }
      members.append("\"__metadata__\":{\(pairs.joined(separator: ","))}")
    }
    var offset = 0
    for tensor in ordered {
      let shape = tensor.shape.map(String.init).joined(separator: ",")
      let end = offset + tensor.bytes.count
      members.append(
        "\(quoted(tensor.name)):{\"dtype\":\"\(tensor.type.rawValue)\",\"shape\":[\(shape)],"
          + "\"data_offsets\":[\(offset),\(end)]}")
      offset = end
    }
    var header = Array("{\(members.joined(separator: ","))}".utf8)
    while (header.count + 8) % 64 != 0 { header.append(0x20) }
    var file = withUnsafeBytes(of: UInt64(header.count).littleEndian) { Array($0) }
    file += header
    for tensor in ordered { file += tensor.bytes }
    return file
  }

  /// Writes a file of `tensors` beside `path` and renames it, so that `path` is always whole.
  package static func write(
    _ tensors: [Tensor], metadata: [String: String] = [:], to path: String
  ) throws(FileError) {
    try write(bytes(tensors, metadata: metadata), to: path)
  }

  static func write(_ bytes: [UInt8], to path: String) throws(FileError) {
    let temporary = "\(path).\(getpid())-\(UInt32.random(in: 0...UInt32.max)).partial"
    let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else {
      throw FileError(path: temporary, operation: "create", code: errno)
    }
    var written = 0
    var code: Int32 = 0
    while code == 0, written < bytes.count {
      let count = bytes.withUnsafeBytes {
        Glibc.write(descriptor, $0.baseAddress! + written, bytes.count - written)
      }
      if count > 0 { written += count } else if errno != EINTR { code = errno }
    }
    if code == 0, fsync(descriptor) != 0 { code = errno }
    if close(descriptor) != 0, code == 0 { code = errno }
    if code == 0, rename(temporary, path) != 0 { code = errno }
    if code != 0 {
      unlink(temporary)
      throw FileError(path: path, operation: "write", code: code)
    }
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
