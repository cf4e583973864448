import Execution
import TensorTypes

/// What the steps of a plan need beside the arena: the largest of each step's needs.
struct ScratchNeeds {
  /// Quantized or padded operands of a matrix product.
  var operandBytes = 0
  /// f32 scales of quantized rows or items.
  var scaleCount = 0
  /// int32 sums of int4 groups.
  var sumCount = 0
  /// Bytes of each thread's own.
  var workerBytes = 0

  mutating func operand(bytes: Int, scales: Int = 0, sums: Int = 0) {
    operandBytes = max(operandBytes, bytes)
    scaleCount = max(scaleCount, scales)
    sumCount = max(sumCount, sums)
  }

  mutating func worker(bytes: Int) { workerBytes = max(workerBytes, bytes) }
}

/// The memory that steps share: what one leaves there, the next may overwrite.
final class Scratch {
  let operand: UnsafeMutablePointer<UInt8>
  let scales: UnsafeMutablePointer<Float>
  let sums: UnsafeMutablePointer<Int32>
  let byteCount: Int
  private let workers: UnsafeMutableRawPointer
  private let workerStride: Int
  private let buffer: HostBuffer

  init(_ needs: ScratchNeeds, threadCount: Int) throws(ExecutionError) {
    // Kernels may read a vector past the last element that they use.
    func padded(_ bytes: Int) -> Int { (bytes + 127) / 64 * 64 }
    let parts = [needs.operandBytes, needs.scaleCount * 4, needs.sumCount * 4].map(padded)
    workerStride = padded(needs.workerBytes)
    byteCount = parts.reduce(0, +) + workerStride * threadCount
    buffer = try HostBuffer(planned: byteCount)
    guard let base = buffer.bytes.baseAddress else { preconditionFailure("no memory") }
    operand = base.assumingMemoryBound(to: UInt8.self)
    scales = (base + parts[0]).assumingMemoryBound(to: Float.self)
    sums = (base + parts[0] + parts[1]).assumingMemoryBound(to: Int32.self)
    workers = base + parts.reduce(0, +)
  }

  /// The memory of one thread's own.
  func worker(_ index: Int) -> UnsafeMutableRawPointer { workers + index * workerStride }
}
