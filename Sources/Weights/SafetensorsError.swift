/// Why a .safetensors file cannot be used.
package enum SafetensorsError: Error, Equatable, CustomStringConvertible {
  case file(FileError)
  /// The file ends inside its header.
  case truncatedHeader(path: String, expectedBytes: UInt64, actualBytes: Int)
  case headerTooLong(path: String, bytes: UInt64, maximumBytes: Int)
  case invalidHeader(path: String, reason: String, offset: Int)
  case unknownType(path: String, tensor: String, type: String)
  /// The extents multiply to more than memory holds.
  case shapeTooLarge(path: String, tensor: String, shape: [Int])
  /// The data's length is not that of the shape.
  case wrongLength(path: String, tensor: String, expectedBytes: Int, actualBytes: Int)
  /// The data is not where the tensor before it ends.
  case notContiguous(path: String, tensor: String, expectedOffset: Int, actualOffset: Int)
  /// The tensors do not fill the file exactly.
  case wrongFileLength(path: String, expectedBytes: Int, actualBytes: Int)

  package var description: String {
    switch self {
    case .file(let error): return error.description
    case .truncatedHeader(let path, let expected, let actual):
      return Self.sentence(path, "has \(actual) bytes and its header needs \(expected)")
    case .headerTooLong(let path, let bytes, let maximum):
      return "\(path) has a header of \(bytes) bytes; at most \(maximum) are allowed. Leave "
        + "out what its metadata tells of the training, or get a safetensors file."
    case .invalidHeader(let path, let reason, let offset):
      return Self.sentence(path, "has a header that is not valid at byte \(offset): \(reason)")
    case .unknownType(let path, let tensor, let type):
      return "\(path) stores \"\(tensor.excerpt)\" as \(type.excerpt), a type of numbers that "
        + "is not supported. Export it in F32, F16 or BF16."
    case .shapeTooLarge(let path, let tensor, let shape):
      return Self.sentence(path, "gives \"\(tensor.excerpt)\" the impossible shape \(shape)")
    case .wrongLength(let path, let tensor, let expected, let actual):
      return Self.sentence(
        path, "has \(actual) bytes for \"\(tensor.excerpt)\", which needs \(expected)")
    case .notContiguous(let path, let tensor, let expected, let actual):
      return Self.sentence(
        path, "has \"\(tensor.excerpt)\" at byte \(actual) of its data and not at \(expected)")
    case .wrongFileLength(let path, let expected, let actual):
      return Self.sentence(path, "has \(actual) bytes and should have \(expected)")
    }
  }

  private static func sentence(_ path: String, _ problem: String) -> String {
    "\(path) \(problem). It is damaged or not a safetensors file: get it again."
  }
}

extension String {
  /// The beginning, for a message: names and texts of a file may be of any length.
  package var excerpt: String {
    utf8.count <= 160 ? self : String(decoding: utf8.prefix(160), as: UTF8.self) + "…"
  }
}
