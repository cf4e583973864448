import CKernels
import Execution
import Graph
import TensorTypes
import Weights

/// A quantized matrix as a kernel takes it.
enum BoundIntegers {
  /// n16k4 blocks in the mapping, a scale an output, and what the accumulators start from.
  case int8(
    UnsafePointer<Int8>, scales: UnsafePointer<Float>, initial: UnsafePointer<Int32>)
  /// Records in the mapping.
  case int4(UnsafePointer<UInt8>, group: Int)
}

/// An embedding table as a kernel takes it.
enum BoundTable {
  case plain(UnsafeRawPointer, banana_storage)
  case int8(UnsafePointer<Int8>, scales: UnsafePointer<Float>)
  case int4(UnsafePointer<UInt8>, group: Int)
}

extension WeightReference {
  var outputs: Int { shape[0] }
  var inputs: Int { shape.count / shape[0] }
  /// What a matrix takes packed in f32.
  var packedBytes: Int { 4 * BlockLayout.blocks(of: outputs) * BlockLayout.outputs * inputs }
  /// What an int8 matrix takes beside the mapping.
  var initialBytes: Int { 4 * BlockLayout.blocks(of: outputs) * BlockLayout.outputs }
  /// What plain elements take in f32.
  var vectorBytes: Int { 4 * shape.count }
}

/// A weight for inputs with a zero point.
private struct IntegerMatrix: Hashable {
  let weight: WeightReference
  let zeroPoint: Int
}

/// The tensors of one network. Quantized ones are read in place; what is packed or widened is
/// made once, when the first plan asks for it.
final class CPUWeights: BoundWeights {
  let backend: CPUBackend
  let activations: ActivationFormat
  private let store: WeightStore
  private var integerMatrices: [IntegerMatrix: BoundIntegers] = [:]
  private var floatMatrices: [WeightReference: UnsafePointer<Float>] = [:]
  private var vectors: [WeightReference: UnsafePointer<Float>] = [:]
  private var buffers: [HostBuffer] = []
  /// What keeps the stored bytes in memory.
  private var owners: [any AnyObject & Sendable] = []

  init(_ store: WeightStore, activations: ActivationFormat, backend: CPUBackend) {
    self.store = store
    self.activations = activations
    self.backend = backend
  }

  var residentBytes: Int { buffers.reduce(0) { $0 + $1.bytes.count } }

  func compile(_ plan: Plan, in arena: any Arena) throws(ExecutionError) -> any Executable {
    guard let arena = arena as? HostArena else {
      preconditionFailure("another backend made the arena")
    }
    return try CPUExecutable(plan: plan, weights: self, arena: arena)
  }

  /// A linear's `[out, in]` or a convolution's `[out, kernelHeight, kernelWidth, in]` weight that
  /// is stored as integers, in place, for inputs that are quantized so.
  func integers(
    _ reference: WeightReference, for inputs: Quantize
  ) throws(ExecutionError) -> BoundIntegers {
    let matrix = IntegerMatrix(weight: reference, zeroPoint: inputs.zeroPoint)
    if let bound = integerMatrices[matrix] { return bound }
    let stored = try weight(reference)
    let bound: BoundIntegers
    switch stored.format {
    case .int8: bound = try int8(stored, reference, zeroPoint: inputs.zeroPoint)
    case .int4(let group):
      bound = .int4(try bytes(stored, reference).assumingMemoryBound(to: UInt8.self), group: group)
    case .float32, .float16, .bfloat16, .int8Rows, .int4Rows:
      throw unsupported("matrix product of integers", reference, stored.format)
    }
    integerMatrices[matrix] = bound
    return bound
  }

  /// The same weights in f32, `[ceil(n/16)][k][16]`.
  func floats(_ reference: WeightReference) throws(ExecutionError) -> UnsafePointer<Float> {
    if let bound = floatMatrices[reference] { return bound }
    let bound = try packed(weight(reference), reference)
    floatMatrices[reference] = bound
    return bound
  }

  /// A bias, a norm's weight or any other tensor of which plain f32 elements are wanted.
  func vector(_ reference: WeightReference) throws(ExecutionError) -> UnsafePointer<Float> {
    if let bound = vectors[reference] { return bound }
    let stored = try weight(reference)
    let buffer = try makeBuffer(byteCount: reference.vectorBytes)
    if let storage = plainStorage(stored.format) {
      banana_widen(try bytes(stored, reference), storage, reference.shape.count, buffer)
    } else {
      buffer.update(from: stored.dequantized(), count: reference.shape.count)
    }
    vectors[reference] = UnsafePointer(buffer)
    return UnsafePointer(buffer)
  }

  /// What inputs are multiplied by before they are rounded, in place.
  func smoothing(_ reference: WeightReference) throws(ExecutionError) -> UnsafePointer<Float> {
    try bytes(weight(reference), reference).assumingMemoryBound(to: Float.self)
  }

  /// An embedding table `[rows, width]`, in place.
  func table(_ reference: WeightReference) throws(ExecutionError) -> BoundTable {
    let stored = try weight(reference)
    let data = try bytes(stored, reference)
    switch stored.format {
    case .int8Rows:
      return .int8(
        data.assumingMemoryBound(to: Int8.self), scales: try scales(stored, reference))
    case .int4Rows(let group):
      return .int4(data.assumingMemoryBound(to: UInt8.self), group: group)
    default:
      guard let storage = plainStorage(stored.format) else {
        throw unsupported("embedding", reference, stored.format)
      }
      return .plain(data, storage)
    }
  }

  private func weight(_ reference: WeightReference) throws(ExecutionError) -> StoredWeight {
    do throws(WeightError) {
      let stored = try store.weight(named: reference.name, logicalShape: reference.shape)
      owners += stored.owners
      return stored
    } catch { throw .weight(error) }
  }

  private func int8(
    _ stored: StoredWeight, _ reference: WeightReference, zeroPoint: Int
  ) throws(ExecutionError) -> BoundIntegers {
    let w = try bytes(stored, reference).assumingMemoryBound(to: Int8.self)
    let buffer = try makeBuffer(byteCount: reference.initialBytes)
    let initial = UnsafeMutableRawPointer(buffer).assumingMemoryBound(to: Int32.self)
    backend.kernels.pointee.linear_int8_initial(
      w, Int32(reference.outputs), Int32(reference.inputs), Int32(zeroPoint), initial)
    return .int8(w, scales: try scales(stored, reference), initial: initial)
  }

  private func packed(
    _ stored: StoredWeight, _ reference: WeightReference
  ) throws(ExecutionError) -> UnsafePointer<Float> {
    let data = try bytes(stored, reference)
    let (n, k) = (reference.outputs, reference.inputs)
    let buffer = try makeBuffer(byteCount: reference.packedBytes)
    switch stored.format {
    case .int8:
      banana_pack_int8(
        data.assumingMemoryBound(to: Int8.self), try scales(stored, reference), Int32(n), Int32(k),
        buffer)
    case .int4(let group):
      banana_pack_int4(
        data.assumingMemoryBound(to: UInt8.self), Int32(group), Int32(n), Int32(k), buffer)
    default:
      guard let storage = plainStorage(stored.format) else {
        throw unsupported("matrix product", reference, stored.format)
      }
      banana_pack_f32(data, storage, Int32(n), Int32(k), buffer)
    }
    if let smoothing = stored.smoothing, let factors = smoothing.baseAddress {
      banana_smooth_packed(buffer, Int32(n), Int32(k), factors, Int32(smoothing.count))
    }
    return UnsafePointer(buffer)
  }

  private func bytes(
    _ stored: StoredWeight, _ reference: WeightReference
  ) throws(ExecutionError) -> UnsafeRawPointer {
    guard let base = stored.data.baseAddress else {
      throw .unsupported(op: "weight", reason: "\(reference.name) is empty")
    }
    return base
  }

  private func scales(
    _ stored: StoredWeight, _ reference: WeightReference
  ) throws(ExecutionError) -> UnsafePointer<Float> {
    guard let base = stored.scales?.baseAddress else {
      throw .unsupported(op: "weight", reason: "\(reference.name) has no scales")
    }
    return base
  }

  private func makeBuffer(
    byteCount: Int
  ) throws(ExecutionError) -> UnsafeMutablePointer<Float> {
    let buffer = try HostBuffer(planned: byteCount)
    buffers.append(buffer)
    guard let base = buffer.floats.baseAddress else { preconditionFailure("no memory") }
    return base
  }

  private func plainStorage(_ format: StorageFormat) -> banana_storage? {
    switch format {
    case .float32: BANANA_STORAGE_F32
    case .float16: BANANA_STORAGE_F16
    case .bfloat16: BANANA_STORAGE_BF16
    case .int8, .int4, .int8Rows, .int4Rows: nil
    }
  }

  private func unsupported(
    _ op: String, _ reference: WeightReference, _ format: StorageFormat
  ) -> ExecutionError {
    .unsupported(op: op, reason: "\(reference.name) is stored as \(format)")
  }
}
