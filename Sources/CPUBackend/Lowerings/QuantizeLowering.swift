import CKernels
import Execution
import Graph
import TensorTypes

extension Lowering {
  mutating func lower(_ op: Quantize, _ node: Node) {
    let (shape, source, target) = (
      node.result.shape, place(node.operands[0]), place(node.result)
    )
    switch op.scaling {
    case .row:
      append(QuantizeRowsStep(op, shape, source: source, target: target, grain, kernels))
    case .item:
      let maximum = AbsoluteMaximumStep(op, shape, source: source, target: target, grain, kernels)
      append(maximum)
      append(
        QuantizePictureStep(
          op, shape, maxima: maximum, source: source, target: target, grain, kernels))
    }
  }
}

extension Quantize {
  /// What bytes are stored xor-ed with: dot products of int8 weights may take them unsigned.
  fileprivate func offset(_ kernels: UnsafePointer<banana_kernels>) -> UInt8 {
    group == nil ? kernels.pointee.activation_offset : 0
  }
}

/// Quantizes rows, each with a scale of its own.
private final class QuantizeRowsStep: Step {
  private let split: Split
  private let k: Int
  private let group: Int?
  private let layout: Quantize.Layout
  private let xor: UInt8
  private let source: Place
  private let target: Place
  private let kernels: UnsafePointer<banana_kernels>

  init(
    _ op: Quantize, _ shape: Shape, source: Place, target: Place, _ grain: TaskGrain,
    _ kernels: UnsafePointer<banana_kernels>
  ) {
    split = Split(shape.rows, into: max(1, shape.count / grain.elements))
    k = shape.last
    group = op.group
    layout = op.layout(of: shape)
    xor = op.offset(kernels)
    self.source = source
    self.target = target
    self.kernels = kernels
    super.init(op.name, taskCount: split.count)
  }

  override func perform(task: Int, worker: Int, in memory: Memory) {
    let rows = split.range(task)
    let stride = layout.rowBytes
    let q = memory.bytes(target) + rows.lowerBound * stride
    kernels.pointee.quantize_rows(
      memory.floats(source) + rows.lowerBound * k, k, Int32(rows.count), Int32(k), xor, q, stride,
      memory.floats(target + layout.scales) + rows.lowerBound)
    guard let group else { return }
    let groups = stride / group
    kernels.pointee.int4_group_sums(
      UnsafeRawPointer(q).assumingMemoryBound(to: Int8.self), stride, Int32(rows.count),
      Int32(groups), Int32(group),
      memory.integers(target + layout.sums) + rows.lowerBound * groups)
  }
}

/// The largest magnitude in each part of each item of a picture.
private final class AbsoluteMaximumStep: Step {
  /// Parts of an item.
  private let split: Split
  private let items: Int
  private let source: Place
  /// Where the parts' magnitudes go, behind the items' scales.
  private let magnitudes: Place
  private let kernels: UnsafePointer<banana_kernels>

  init(
    _ op: Quantize, _ shape: Shape, source: Place, target: Place, _ grain: TaskGrain,
    _ kernels: UnsafePointer<banana_kernels>
  ) {
    items = shape[0]
    let count = shape[1] * shape[2] * shape[3]
    split = Split(
      count, into: min(Quantize.Layout.maximumParts, max(1, count / grain.elements)))
    self.source = source
    magnitudes = target + op.layout(of: shape).scales + 4 * items
    self.kernels = kernels
    super.init(op.name, taskCount: split.count * items)
  }

  override func perform(task: Int, worker: Int, in memory: Memory) {
    let (item, part) = task.quotientAndRemainder(dividingBy: split.count)
    let range = split.range(part)
    memory.floats(magnitudes)[task] = kernels.pointee.absolute_maximum(
      memory.floats(source) + item * split.total + range.lowerBound, range.count)
  }

  /// An item's largest magnitude, once every task is done.
  func maximum(ofItem item: Int, in memory: Memory) -> Float {
    let parts = memory.floats(magnitudes) + item * split.count
    var largest: Float = 0
    for part in 0..<split.count { largest = max(largest, parts[part]) }
    return largest
  }
}

/// Quantizes pictures with their borders and a scale an item.
private final class QuantizePictureStep: Step {
  private let op: Quantize
  private let shape: Shape
  private let layout: Quantize.Layout
  /// Of all items, borders included.
  private let lines: Split
  private let linesPerItem: Int
  private let maxima: AbsoluteMaximumStep
  private let xor: UInt8
  private let source: Place
  private let target: Place
  private let kernels: UnsafePointer<banana_kernels>

  init(
    _ op: Quantize, _ shape: Shape, maxima: AbsoluteMaximumStep, source: Place, target: Place,
    _ grain: TaskGrain, _ kernels: UnsafePointer<banana_kernels>
  ) {
    self.op = op
    self.shape = shape
    self.maxima = maxima
    layout = op.layout(of: shape)
    linesPerItem = shape[1] + 2 * op.borderHeight
    let count = shape[0] * linesPerItem
    lines = Split(count, into: min(32, max(1, count * layout.rowBytes / grain.elements)))
    xor = op.offset(kernels)
    self.source = source
    self.target = target
    self.kernels = kernels
    super.init(op.name, taskCount: lines.count)
  }

  override func perform(task: Int, worker: Int, in memory: Memory) {
    let (height, channels) = (shape[1], shape[3])
    let count = shape[2] * channels
    let side = op.borderWidth * channels
    for line in lines.range(task) {
      let (item, paddedY) = line.quotientAndRemainder(dividingBy: linesPerItem)
      let y = paddedY - op.borderHeight
      let q = memory.bytes(target) + line * layout.rowBytes
      guard y >= 0, y < height else {
        q.update(repeating: xor, count: layout.rowBytes)
        continue
      }
      let largest = maxima.maximum(ofItem: item, in: memory)
      if y == 0 {
        memory.floats(target + layout.scales)[item] = largest > 1e-36 ? largest / 127 : 1
      }
      q.update(repeating: xor, count: side)
      kernels.pointee.quantize(
        memory.floats(source) + (item * height + y) * count, count, largest, xor, q + side)
      (q + side + count).update(repeating: xor, count: side)
    }
  }
}
