import TensorTypes
import Weights

/// A tensor as a file has it, or some of its rows.
struct SourceTensor: Sendable {
  let name: String
  let type: SafetensorsType
  let shape: Shape
  let file: SafetensorsFile
  /// The bytes before it in the file's tensor, and its own.
  private let range: Range<Int>

  init(name: String, in file: SafetensorsFile) {
    let tensor = file.tensor(named: name)!
    self.init(
      name: name, type: tensor.type, shape: tensor.shape, file: file,
      range: 0..<tensor.bytes.count)
  }

  private init(
    name: String, type: SafetensorsType, shape: Shape, file: SafetensorsFile, range: Range<Int>
  ) {
    (self.name, self.type, self.shape) = (name, type, shape)
    (self.file, self.range) = (file, range)
  }

  var path: String { file.file.path }

  var bytes: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: file.tensor(named: name)!.bytes[range])
  }

  /// One of `count` equal parts of the rows; nil if they do not divide.
  func rows(part: Int, of count: Int) -> SourceTensor? {
    guard shape.rank > 0, shape[0] % count == 0 else { return nil }
    let byteCount = range.count / count
    let start = range.lowerBound + part * byteCount
    return SourceTensor(
      name: name, type: type, shape: Shape([shape[0] / count] + shape.dimensions.dropFirst()),
      file: file, range: start..<start + byteCount)
  }
}

/// Where a network's weight may be among a file's tensors.
struct TensorPlace: Hashable {
  var name: String
  /// One of `parts` equal parts of its rows.
  var part = 0
  var parts = 1

  init(_ name: String, part: Int = 0, of parts: Int = 1) {
    (self.name, self.part, self.parts) = (name, part, parts)
  }
}

/// The tensors of one or several files, by their names.
struct TensorTable {
  /// What a person gave: for messages.
  let path: String
  private(set) var tensors: [String: SourceTensor] = [:]

  init(path: String) { self.path = path }

  /// The tensors in the `.safetensors` files at `files`, of which each has a name once.
  init(path: String, files: [String]) throws(ImportError) {
    self.path = path
    for file in files {
      try add(FileKind.openSafetensors(file))
    }
  }

  /// The tensors of one file.
  init(_ file: SafetensorsFile) throws(ImportError) {
    path = file.file.path
    try add(file)
  }

  private mutating func add(_ file: SafetensorsFile) throws(ImportError) {
    for name in file.names {
      let tensor = SourceTensor(name: name, in: file)
      if tensors.updateValue(tensor, forKey: name) != nil {
        throw .duplicateTensor(path: file.file.path, tensor: name)
      }
    }
  }

  var names: [String] { tensors.keys.sorted() }
  var shapes: [String: Shape] { tensors.mapValues(\.shape) }

  /// The tensors whose names begin so, without it.
  func under(_ prefix: String) -> TensorTable {
    var part = TensorTable(path: path)
    for (name, tensor) in tensors where name.hasPrefix(prefix) {
      part.tensors[String(name.dropFirst(prefix.count))] = tensor
    }
    return part
  }

  /// Takes up another table's tensors under other names.
  mutating func add(
    _ other: TensorTable, naming: (String) -> String
  ) throws(ImportError) {
    for (name, tensor) in other.tensors
    where tensors.updateValue(tensor, forKey: naming(name)) != nil {
      throw .duplicateTensor(path: other.path, tensor: name)
    }
  }

  func renamed(_ rename: (String) -> String?) -> TensorTable {
    var part = TensorTable(path: path)
    for (name, tensor) in tensors {
      if let other = rename(name) { part.tensors[other] = tensor }
    }
    return part
  }
}
