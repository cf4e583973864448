import TensorTypes

/// A matrix of a peel as its file stores it, its numbers checked; read as f32 when it is needed.
struct PeelTensor: Sendable {
  private let file: SafetensorsFile
  private let tensor: SafetensorsFile.Tensor
  /// `[rows, columns]`: axes of extent 1 behind them, as of 1×1 convolutions, are left out.
  let shape: Shape
  /// The largest absolute value.
  let magnitude: Float

  /// - Throws: `PeelError` if it is no matrix, of a type that is not read, or has NaN or infinity.
  init(_ name: String, in file: SafetensorsFile) throws(PeelError) {
    let tensor = file.tensor(named: name)!
    var extents = tensor.shape.dimensions[...]
    while extents.count > 2, extents.last == 1 { extents.removeLast() }
    if (3...5).contains(extents.count), tensor.shape.count > 0 {
      throw .unsupportedKernel(tensor: name, shape: tensor.shape)
    }
    guard extents.count == 2, tensor.shape.count > 0 else {
      throw .wrongShape(tensor: name, shape: tensor.shape)
    }
    guard Self.types.contains(tensor.type) else {
      throw .wrongType(tensor: name, type: tensor.type)
    }
    self.file = file
    self.tensor = tensor
    shape = Shape(Array(extents))
    var magnitude: Float = 0
    var isFinite = true
    Self.forEach(tensor) { value in
      magnitude = max(magnitude, abs(value))
      isFinite = isFinite && value.isFinite
    }
    guard isFinite else { throw .notFinite(tensor: name) }
    self.magnitude = magnitude
  }

  /// The numbers, row by row, times `scale`.
  func numbers(times scale: Float = 1) -> [Float] {
    var numbers: [Float] = []
    numbers.reserveCapacity(shape.count)
    Self.forEach(tensor) { numbers.append($0 * scale) }
    return numbers
  }

  /// Lays the numbers, times `scale` and then `strength`, into a larger matrix in blocks of 16
  /// rows.
  /// - Parameters:
  ///   - width: Columns of the larger one.
  ///   - row, column: Where the first number goes.
  func lay(
    into blocks: UnsafeMutableBufferPointer<Float>, width: Int, row: Int, column: Int,
    times scale: Float, _ strength: Float
  ) {
    let lanes = BlockLayout.outputs
    var row = row
    var (at, rest) = (0, 0)
    Self.forEach(tensor) { value in
      if rest == 0 {
        at = (row / lanes * width + column) * lanes + row % lanes
        rest = shape[1]
        row += 1
      }
      blocks[at] = value * scale * strength
      at += lanes
      rest -= 1
    }
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
