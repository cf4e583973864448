import TensorTypes

/// A matrix of a peel, or its like for a convolution, as its file stores it, its numbers checked;
/// read as f32 when it is needed.
struct PeelTensor: Sendable {
  private let file: SafetensorsFile
  private let tensor: SafetensorsFile.Tensor
  /// `[rows, columns]`, or `[rows, columns, y, x]` where a kernel is more than a point: axes of
  /// extent 1 behind a matrix, as of 1×1 convolutions, are left out.
  let shape: Shape
  /// The largest absolute value.
  let magnitude: Float

  /// - Throws: `PeelError` if it has other axes, a type that is not read, or NaN or infinity.
  init(_ name: String, in file: SafetensorsFile) throws(PeelError) {
    let tensor = file.tensor(named: name)!
    var extents = tensor.shape.dimensions[...]
    while extents.count > 2, extents.count != 4, extents.last == 1 { extents.removeLast() }
    if extents.count == 4, extents.suffix(2) == [1, 1] { extents.removeLast(2) }
    if extents.count == 3 || extents.count == 5, tensor.shape.count > 0 {
      throw .unsupportedKernel(tensor: name, shape: tensor.shape)
    }
    // What is multiplied later stays a number.
    guard [2, 4].contains(extents.count), tensor.shape.count > 0,
      extents.prefix(2).allSatisfy({ $0 <= 1 << 20 }),
      extents.dropFirst(2).allSatisfy({ $0 <= 64 })
    else {
      throw .wrongShape(tensor: name, shape: tensor.shape)
    }
    try self.init(tensor, as: Shape(Array(extents)), name, in: file)
  }

  /// A row of numbers along whichever axis, `[count]`.
  /// - Throws: `PeelError` if more than one axis has an extent.
  init(row name: String, in file: SafetensorsFile) throws(PeelError) {
    let tensor = file.tensor(named: name)!
    let count = tensor.shape.count
    guard count > 0, tensor.shape.dimensions.allSatisfy({ $0 == 1 || $0 == count }) else {
      throw .wrongShape(tensor: name, shape: tensor.shape)
    }
    try self.init(tensor, as: [count], name, in: file)
  }

  private init(
    _ tensor: SafetensorsFile.Tensor, as shape: Shape, _ name: String, in file: SafetensorsFile
  ) throws(PeelError) {
    guard Self.types.contains(tensor.type) else {
      throw .wrongType(tensor: name, type: tensor.type)
    }
    self.file = file
    self.tensor = tensor
    self.shape = shape
    var magnitude: Float = 0
    var isFinite = true
    Self.forEach(tensor) { value in
      magnitude = max(magnitude, abs(value))
      isFinite = isFinite && value.isFinite
    }
    guard isFinite else { throw .notFinite(tensor: name) }
    self.magnitude = magnitude
  }

  var rows: Int { shape[0] }
  /// Everything behind the rows, places of a kernel innermost.
  var columns: Int { shape.count / rows }
  /// `[y, x]` of a kernel that is more than a point.
  var kernel: Shape? { shape.rank == 4 ? [shape[2], shape[3]] : nil }

  /// The numbers, row by row.
  var numbers: [Float] {
    var numbers: [Float] = []
    numbers.reserveCapacity(shape.count)
    Self.forEach(tensor) { numbers.append($0) }
    return numbers
  }

  private static let types: Set<SafetensorsType> = [.float16, .bfloat16, .float32, .float64]

  /// The one number of a tensor of any type of numbers; nil if it is not one.
  static func scalar(_ tensor: SafetensorsFile.Tensor) -> Double? {
    guard tensor.shape.count == 1 else { return nil }
    func load<Number>(_ type: Number.Type) -> Number { tensor.bytes.loadUnaligned(as: type) }
    switch tensor.type {
    case .float16, .bfloat16, .float32:
      var value: Float?
      forEach(tensor) { value = $0 }
      return value.map(Double.init)
    case .float64: return load(Double.self)
    case .int8: return Double(load(Int8.self))
    case .uint8: return Double(load(UInt8.self))
    case .int16: return Double(load(Int16.self))
    case .uint16: return Double(load(UInt16.self))
    case .int32: return Double(load(Int32.self))
    case .uint32: return Double(load(UInt32.self))
    case .int64: return Double(load(Int64.self))
    case .uint64: return Double(load(UInt64.self))
    case .bool, .float8e4m3, .float8e5m2: return nil
    }
  }

  /// Calls `body` with each number as f32; tensors of a foreign file may begin anywhere.
  private static func forEach(_ tensor: SafetensorsFile.Tensor, _ body: (Float) -> Void) {
    let bytes = tensor.bytes
    func visit<Stored>(_ type: Stored.Type, _ value: (Stored) -> Float) {
      for offset in stride(from: 0, to: bytes.count, by: MemoryLayout<Stored>.size) {
        body(value(bytes.loadUnaligned(fromByteOffset: offset, as: type)))
      }
    }
    switch tensor.type {
    case .float32: visit(UInt32.self) { Float(bitPattern: $0) }
    case .float16: visit(UInt16.self) { Float(Float16(bitPattern: $0)) }
    case .bfloat16: visit(UInt16.self) { Float(bitPattern: UInt32($0) << 16) }
    case .float64: visit(UInt64.self) { Float(Double(bitPattern: $0)) }
    default: break
    }
  }
}
