package import TensorTypes

/// A type of numbers in a .safetensors file.
package enum SafetensorsType: String, CaseIterable, Sendable {
  case bool = "BOOL"
  case uint8 = "U8"
  case int8 = "I8"
  case float8e5m2 = "F8_E5M2"
  case float8e4m3 = "F8_E4M3"
  case int16 = "I16"
  case uint16 = "U16"
  case float16 = "F16"
  case bfloat16 = "BF16"
  case int32 = "I32"
  case uint32 = "U32"
  case float32 = "F32"
  case float64 = "F64"
  case int64 = "I64"
  case uint64 = "U64"

  package var byteCount: Int {
    switch self {
    case .bool, .uint8, .int8, .float8e5m2, .float8e4m3: 1
    case .int16, .uint16, .float16, .bfloat16: 2
    case .int32, .uint32, .float32: 4
    case .float64, .int64, .uint64: 8
    }
  }
}

/// A .safetensors file, mapped, its header checked from end to end.
///
/// The format: 8 bytes with the header's length, the header in JSON, the tensors' data without
/// gaps (https://github.com/huggingface/safetensors, "Format").
package final class SafetensorsFile: Sendable {
  /// A tensor of the file; `bytes` live as long as the file.
  package struct Tensor: @unchecked Sendable {
    package let type: SafetensorsType
    package let shape: Shape
    package let bytes: UnsafeRawBufferPointer
  }

  /// How much of a header is read: its work grows with it.
  package struct HeaderLimits: Sendable {
    package let bytes: Int
    package let tensors: Int

    /// What the format allows.
    package static let format = HeaderLimits(bytes: 100_000_000, tensors: .max)

    package init(bytes: Int, tensors: Int) {
      self.bytes = bytes
      self.tensors = tensors
    }
  }

  package let file: MappedFile
  /// What the file says of itself.
  package let metadata: [String: String]
  /// The names of the tensors, in the order of their data.
  package let names: [String]
  private let tensors: [String: Tensor]

  /// Maps and checks the file at `path`.
  package convenience init(path: String) throws(SafetensorsError) {
    let file: MappedFile
    do throws(FileError) { file = try MappedFile(path: path) } catch { throw .file(error) }
    try self.init(file: file)
  }

  /// Checks a file that is already mapped.
  package init(
    file: MappedFile, limits: HeaderLimits = .format
  ) throws(SafetensorsError) {
    let bytes = file.bytes
    guard bytes.count >= 8 else {
      throw .truncatedHeader(path: file.path, expectedBytes: 8, actualBytes: bytes.count)
    }
    let length = UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
    guard length <= limits.bytes else {
      throw .headerTooLong(path: file.path, bytes: length, maximumBytes: limits.bytes)
    }
    let start = 8 + Int(length)
    guard start <= bytes.count else {
      throw .truncatedHeader(
        path: file.path, expectedBytes: UInt64(start), actualBytes: bytes.count)
    }
    let header: SafetensorsHeader
    do throws(JSONError) {
      header = try SafetensorsHeader(
        UnsafeRawBufferPointer(rebasing: bytes[8..<start]), maximumTensors: limits.tensors)
    } catch {
      throw .invalidHeader(path: file.path, reason: error.reason, offset: 8 + error.offset)
    }
    self.file = file
    metadata = header.metadata
    let data = UnsafeRawBufferPointer(rebasing: bytes[start...])
    tensors = try Self.tensors(of: header, data: data, path: file.path)
    names = header.entries.map(\.name)
  }

  private static func tensors(
    of header: SafetensorsHeader, data: UnsafeRawBufferPointer, path: String
  ) throws(SafetensorsError) -> [String: Tensor] {
    var tensors: [String: Tensor] = [:]
    var end = 0
    for entry in header.entries {
      guard let type = SafetensorsType(rawValue: entry.type) else {
        throw .unknownType(path: path, tensor: entry.name, type: entry.type)
      }
      var expectedBytes = type.byteCount
      // Extents of 0 are left out at first: they would hide that the others multiply to too much.
      for extent in entry.shape {
        let (product, isOver) = expectedBytes.multipliedReportingOverflow(by: max(extent, 1))
        if isOver { throw .shapeTooLarge(path: path, tensor: entry.name, shape: entry.shape) }
        expectedBytes = product
      }
      if entry.shape.contains(0) { expectedBytes = 0 }
      guard entry.begin == end else {
        throw .notContiguous(
          path: path, tensor: entry.name, expectedOffset: end, actualOffset: entry.begin)
      }
      let (actualBytes, isOver) = entry.end.subtractingReportingOverflow(entry.begin)
      guard !isOver, actualBytes == expectedBytes else {
        throw .wrongLength(
          path: path, tensor: entry.name, expectedBytes: expectedBytes, actualBytes: actualBytes)
      }
      guard entry.end <= data.count else {
        throw .wrongFileLength(
          path: path, expectedBytes: entry.end, actualBytes: data.count)
      }
      end = entry.end
      tensors[entry.name] = Tensor(
        type: type, shape: Shape(entry.shape),
        bytes: UnsafeRawBufferPointer(rebasing: data[entry.begin..<entry.end]))
    }
    guard end == data.count else {
      throw .wrongFileLength(path: path, expectedBytes: end, actualBytes: data.count)
    }
    return tensors
  }

  /// The tensor called `name`, nil if there is none.
  package func tensor(named name: String) -> Tensor? { tensors[name] }
}

/// What a header says, before it is compared with the data.
struct SafetensorsHeader {
  /// Axes of a tensor.
  private static let maximumRank = 16

  struct Entry {
    let name: String
    var type = ""
    var shape: [Int] = []
    var begin = 0
    var end = 0
  }

  /// In the order of the data.
  private(set) var entries: [Entry] = []
  private(set) var metadata: [String: String] = [:]

  init(
    _ bytes: UnsafeRawBufferPointer, maximumTensors: Int = .max
  ) throws(JSONError) {
    var scanner = JSONScanner(bytes)
    guard bytes.first == UInt8(ascii: "{") else { throw scanner.failure("\"{\" expected") }
    var entries: [Entry] = []
    var metadata: [String: String] = [:]
    try scanner.object { (scanner, name) throws(JSONError) in
      if name == "__metadata__" {
        try scanner.object { (scanner, key) throws(JSONError) in
          metadata[key] = try scanner.string()
        }
      } else {
        entries.append(try Self.entry(name, &scanner))
        if entries.count > maximumTensors {
          throw scanner.failure("more than the \(maximumTensors) tensors that are allowed")
        }
      }
    }
    try scanner.expectEnd()
    self.entries = entries.sorted { ($0.begin, $0.end) < ($1.begin, $1.end) }
    self.metadata = metadata
  }

  private static func entry(
    _ name: String, _ scanner: inout JSONScanner
  ) throws(JSONError) -> Entry {
    var entry = Entry(name: name)
    var seen = 0
    try scanner.object { (scanner, key) throws(JSONError) in
      seen += 1
      switch key {
      case "dtype":
        entry.type = try scanner.string()
        if entry.type.utf8.count > 16 { throw scanner.failure("a dtype is too long") }
      case "shape":
        try scanner.array { (scanner) throws(JSONError) in
          entry.shape.append(try scanner.count())
          if entry.shape.count > maximumRank { throw scanner.failure("too many axes") }
        }
      case "data_offsets":
        var offsets: [Int] = []
        try scanner.array { (scanner) throws(JSONError) in
          offsets.append(try scanner.count())
          if offsets.count > 2 { throw scanner.failure("two offsets expected") }
        }
        guard offsets.count == 2 else { throw scanner.failure("two offsets expected") }
        (entry.begin, entry.end) = (offsets[0], offsets[1])
      default: throw scanner.failure("the unknown key \"\(key.excerpt)\"")
      }
    }
    guard seen == 3 else {
      throw scanner.failure("\"\(name.excerpt)\" needs dtype, shape and data_offsets")
    }
    return entry
  }
}
