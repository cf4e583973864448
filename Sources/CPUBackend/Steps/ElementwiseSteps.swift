import CKernels
import Graph
import TensorTypes

/// An activation function by itself.
final class ActivationStep: Step {
  private let code: Int32
  private let split: Split
  private let source: Int
  private let target: Int
  private let kernels: UnsafePointer<banana_kernels>
  private var memory: Memory?

  init(
    _ function: Activation, count: Int, source: Int, target: Int,
    _ kernels: UnsafePointer<banana_kernels>
  ) {
    code = function.code
    split = Split(count, into: count / elementsPerTask, multiple: 16)
    self.source = source
    self.target = target
    self.kernels = kernels
    super.init("activation", taskCount: split.count)
  }

  override func place(_ memory: Memory) { self.memory = memory }

  override func perform(task: Int, worker: Int) {
    guard let memory else { return }
    let range = split.range(task)
    kernels.pointee.activation(
      memory.floats(source) + range.lowerBound, range.count, code,
      memory.floats(target) + range.lowerBound)
  }
}

/// A sum or a product, the second operand possibly a row that is repeated.
final class BinaryStep: Step {
  private let isProduct: Bool
  private let rows: Split
  private let width: Int
  /// How many rows of the result share a row of the second operand; nil if each has its own.
  private let sharedRows: Int?
  private let offsets: (a: Int, b: Int, target: Int)
  private let kernels: UnsafePointer<banana_kernels>
  private var memory: Memory?

  init(
    isProduct: Bool, shape: Shape, other: Shape, a: Int, b: Int, target: Int,
    _ kernels: UnsafePointer<banana_kernels>
  ) {
    self.isProduct = isProduct
    self.kernels = kernels
    offsets = (a, b, target)
    if other == shape {
      // One long row, cut anywhere.
      sharedRows = nil
      width = 1
      rows = Split(shape.count, into: shape.count / elementsPerTask, multiple: 16)
    } else {
      sharedRows = max(1, other.rank == 1 ? shape.rows : shape.rows / shape[0])
      width = shape.last
      rows = Split(shape.rows, into: shape.count / elementsPerTask)
    }
    super.init(isProduct ? "multiply" : "add", taskCount: rows.count)
  }

  override func place(_ memory: Memory) { self.memory = memory }

  override func perform(task: Int, worker: Int) {
    guard let memory else { return }
    let a = memory.floats(offsets.a)
    let b = memory.floats(offsets.b)
    let y = memory.floats(offsets.target)
    let range = rows.range(task)
    guard let sharedRows else {
      apply(a + range.lowerBound, b + range.lowerBound, range.count, y + range.lowerBound)
      return
    }
    for row in range {
      apply(a + row * width, b + row / sharedRows * width, width, y + row * width)
    }
  }

  private func apply(
    _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ count: Int,
    _ y: UnsafeMutablePointer<Float>
  ) {
    if isProduct {
      kernels.pointee.multiply(a, b, count, y)
    } else {
      kernels.pointee.add(a, b, count, y)
    }
  }
}
