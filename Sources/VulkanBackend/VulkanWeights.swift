import Execution
import Graph
import TensorTypes
import Weights

/// How a matrix or a table lies on the device: its outputs or rows in parts, each with its scales
/// behind it, because a shader sees only so much of a buffer.
struct StoredParts {
  struct Part {
    /// Outputs of a matrix, or rows of a table.
    let rows: Range<Int>
    /// Bytes of the stored numbers.
    let source: Range<Int>
    /// Where the part begins on the device, and its scales in it.
    let offset: Int
    let scales: Int
    let byteCount: Int
  }

  let parts: [Part]
  var byteCount: Int { parts.last.map { $0.offset + $0.byteCount } ?? 0 }

  /// - Parameter rangeBytes: What a shader sees.
  init(_ reference: WeightReference, in weights: WeightStore, rangeBytes: Int) {
    let isSmoothed = weights.smoothing(of: reference.name) != nil
    let stored =
      isSmoothed
      ? (numbers: 4 * reference.shape.count, scales: 0) : weights.storedBytes(of: reference.name)
    let rows = reference.shape[0]
    let isBlocked =
      switch weights.quantization(of: reference.name) {
      case .int8, .int4: !isSmoothed
      case .float32, .float16, .bfloat16, .int8Rows, .int4Rows, nil: false
      }
    // Sixteen rows are a block, and whole words in every other form.
    let units = BlockLayout.blocks(of: rows)
    let unitBytes =
      isBlocked ? stored.numbers / max(units, 1) : stored.numbers / max(rows, 1) * 16
    let scaleBytes = stored.scales == 0 ? 0 : 4 * BlockLayout.outputs
    // The device may see less, for places are bound where it can.
    let room = max(0, rangeBytes - 2 * DeviceHeap.alignment)
    let perPart = max(1, room / max(1, unitBytes + scaleBytes))
    var parts: [Part] = []
    var offset = 0
    for first in stride(from: 0, to: units, by: perPart) {
      let part = first * 16..<min(rows, (first + perPart) * 16)
      let start = first * unitBytes
      let source = start..<min(stored.numbers, start + perPart * unitBytes)
      let numbers = (source.count + 3) / 4 * 4
      let byteCount = DeviceHeap.aligned(numbers + (stored.scales == 0 ? 0 : 4 * part.count))
      parts.append(
        Part(rows: part, source: source, offset: offset, scales: numbers, byteCount: byteCount))
      offset += byteCount
    }
    self.parts = parts
  }
}

/// A matrix or a table on the device, as shaders take it.
struct DeviceMatrix {
  /// What `include/weights.glsl` calls the form.
  let format: UInt32
  /// Inputs that share a scale, for int4.
  let group: Int
  let slice: DeviceSlice
  let parts: [StoredParts.Part]

  func operand(_ part: StoredParts.Part) -> Operand {
    .stored(slice, offset: part.offset, byteCount: part.byteCount)
  }
}

/// The tensors of one network in the device's own memory, each copied when the first plan asks for
/// it: matrices and tables as they are stored, everything else, smoothed ones too, in f32.
final class VulkanWeights: BoundWeights {
  let device: VulkanDevice
  private let store: WeightStore
  private var matrices: [WeightReference: DeviceMatrix] = [:]
  private var vectors: [WeightReference: DeviceSlice] = [:]

  init(_ store: WeightStore, _ device: VulkanDevice) {
    self.store = store
    self.device = device
  }

  var residentBytes: Int {
    matrices.values.reduce(0) { $0 + $1.slice.byteCount }
      + vectors.values.reduce(0) { $0 + $1.byteCount }
  }

  func compile(_ plan: Plan, in arena: any Arena) throws(ExecutionError) -> any Executable {
    guard let arena = arena as? VulkanArena else {
      preconditionFailure("another backend made the arena")
    }
    return try VulkanExecutable(plan: plan, weights: self, arena: arena)
  }

  /// A linear's or a convolution's weight, or a table.
  func matrix(_ reference: WeightReference) throws(ExecutionError) -> DeviceMatrix {
    if let bound = matrices[reference] { return bound }
    let stored = try weight(reference)
    let (format, group): (UInt32, Int) =
      switch stored.format {
      case _ where stored.smoothing != nil: (0, 0)
      case .float32: (0, 0)
      case .float16: (1, 0)
      case .bfloat16: (2, 0)
      case .int8, .int8Rows: (3, 0)
      case .int4(let group), .int4Rows(let group): (4, group)
      }
    let parts = StoredParts(reference, in: store, rangeBytes: device.form.bufferRangeBytes)
    let slice = try device.memory.allocate(parts.byteCount)
    let floats = stored.smoothing == nil ? nil : stored.dequantized()
    try device.upload(parts.byteCount, to: slice) { target in
      for part in parts.parts {
        if let floats {
          floats.withUnsafeBytes { Self.copy(part, $0, nil, to: target) }
        } else {
          Self.copy(part, stored.data, stored.scales, to: target)
        }
      }
    }
    let bound = DeviceMatrix(format: format, group: group, slice: slice, parts: parts.parts)
    matrices[reference] = bound
    return bound
  }

  private static func copy(
    _ part: StoredParts.Part, _ data: UnsafeRawBufferPointer,
    _ scales: UnsafeBufferPointer<Float>?, to target: UnsafeMutableRawBufferPointer
  ) {
    let numbers = UnsafeMutableRawBufferPointer(rebasing: target[part.offset...])
    numbers.copyMemory(from: UnsafeRawBufferPointer(rebasing: data[part.source]))
    guard let scales else { return }
    UnsafeMutableRawBufferPointer(rebasing: numbers[part.scales...]).copyMemory(
      from: UnsafeRawBufferPointer(UnsafeBufferPointer(rebasing: scales[part.rows])))
  }

  /// A bias, a norm's weight or any other tensor of which plain f32 elements are wanted.
  func vector(_ reference: WeightReference) throws(ExecutionError) -> Operand {
    let byteCount = 4 * reference.shape.count
    if let bound = vectors[reference] {
      return .stored(bound, offset: 0, byteCount: byteCount)
    }
    let elements = try weight(reference).dequantized()
    let slice = try device.memory.allocate(byteCount)
    try device.upload(byteCount, to: slice) { target in
      elements.withUnsafeBytes { target.copyMemory(from: $0) }
    }
    vectors[reference] = slice
    return .stored(slice, offset: 0, byteCount: byteCount)
  }

  private func weight(_ reference: WeightReference) throws(ExecutionError) -> StoredWeight {
    do throws(WeightError) {
      return try store.weight(named: reference.name, logicalShape: reference.shape)
    } catch { throw .weight(error) }
  }
}
