import CKernels
import Execution
import Graph
import TensorTypes

extension Lowering {
  mutating func lower(_ op: Quantize, _ node: Node) throws(ExecutionError) {
    let (shape, source, target) = (
      node.result.shape, place(node.operands[0]), place(node.result)
    )
    let rounding = op.rounding(try op.smoothing.map(weights.smoothing), kernels)
    switch op.scaling {
    case .row:
      append(
        QuantizeRowsStep(op, shape, rounding, source: source, target: target, grain, kernels))
    case .item:
      let extents = ExtentStep(
        op, shape, rounding, source: source, target: target, grain, kernels)
      append(extents)
      append(
        QuantizePictureStep(
          op, shape, extents, rounding, source: source, target: target, grain, kernels))
    }
  }
}

extension Quantize {
  /// How kernels round; what bytes are xor-ed with is 0 for int4 weights, whose products take them
  /// signed.
  fileprivate func rounding(
    _ smoothing: UnsafePointer<Float>?, _ kernels: UnsafePointer<banana_kernels>
  ) -> banana_rounding {
    var rounding = banana_rounding()
    rounding.smoothing = smoothing
    rounding.zero_point = Int32(zeroPoint)
    rounding.offset = group == nil ? kernels.pointee.activation_offset : 0
    return rounding
  }
}

extension banana_rounding {
  /// The byte of a zero.
  fileprivate var zero: UInt8 { UInt8(truncatingIfNeeded: zero_point) ^ offset }
}

/// Quantizes rows, each with a scale of its own.
private final class QuantizeRowsStep: Step {
  private let split: Split
  private let k: Int
  private let group: Int?
  private let layout: Quantize.Layout
  private let rounding: banana_rounding
  private let source: Place
  private let target: Place
  private let kernels: UnsafePointer<banana_kernels>

  init(
    _ op: Quantize, _ shape: Shape, _ rounding: banana_rounding, source: Place,
    target: Place, _ grain: TaskGrain, _ kernels: UnsafePointer<banana_kernels>
  ) {
    self.rounding = rounding
    split = Split(shape.rows, into: max(1, shape.count / grain.elements))
    k = shape.last
    group = op.group
    layout = op.layout(of: shape)
    self.source = source
    self.target = target
    self.kernels = kernels
    super.init(op.name, taskCount: split.count)
  }

  override func perform(task: Int, worker: Int, in memory: Memory) {
    let rows = split.range(task)
    let stride = layout.rowBytes
    let q = memory.bytes(target) + rows.lowerBound * stride
    withUnsafePointer(to: rounding) {
      kernels.pointee.quantize_rows(
        memory.floats(source) + rows.lowerBound * k, k, Int32(rows.count), Int32(k), $0, q,
        stride, memory.floats(target + layout.scales) + rows.lowerBound)
    }
    guard let group else { return }
    let groups = stride / group
    kernels.pointee.int4_group_sums(
      UnsafeRawPointer(q).assumingMemoryBound(to: Int8.self), stride, Int32(rows.count),
      Int32(groups), Int32(group),
      memory.integers(target + layout.sums) + rows.lowerBound * groups)
  }
}

/// How far each part of each item of a picture reaches from zero.
private final class ExtentStep: Step {
  /// Pixels of an item, in parts.
  private let split: Split
  private let items: Int
  private let channels: Int
  private let rounding: banana_rounding
  private let source: Place
  /// Where what the parts reach goes, behind the items' scales.
  private let reaches: Place
  private let kernels: UnsafePointer<banana_kernels>

  init(
    _ op: Quantize, _ shape: Shape, _ rounding: banana_rounding, source: Place,
    target: Place, _ grain: TaskGrain, _ kernels: UnsafePointer<banana_kernels>
  ) {
    items = shape[0]
    channels = shape[3]
    self.rounding = rounding
    let pixels = shape[1] * shape[2]
    split = Split(
      pixels,
      into: min(Quantize.Layout.maximumParts, max(1, pixels * channels / grain.elements)))
    self.source = source
    reaches = target + op.layout(of: shape).scales + 4 * items
    self.kernels = kernels
    super.init(op.name, taskCount: split.count * items)
  }

  override func perform(task: Int, worker: Int, in memory: Memory) {
    let (item, part) = task.quotientAndRemainder(dividingBy: split.count)
    let range = split.range(part)
    memory.floats(reaches)[task] = withUnsafePointer(to: rounding) {
      kernels.pointee.extent(
        memory.floats(source) + (item * split.total + range.lowerBound) * channels,
        Int32(range.count), Int32(channels), $0)
    }
  }

  /// An item's extent, once every task is done.
  func extent(ofItem item: Int, in memory: Memory) -> Float {
    let parts = memory.floats(reaches) + item * split.count
    var most: Float = 0
    for part in 0..<split.count { most = max(most, parts[part]) }
    return most
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
  private let extents: ExtentStep
  private let rounding: banana_rounding
  private let source: Place
  private let target: Place
  private let kernels: UnsafePointer<banana_kernels>

  init(
    _ op: Quantize, _ shape: Shape, _ extents: ExtentStep, _ rounding: banana_rounding,
    source: Place, target: Place, _ grain: TaskGrain, _ kernels: UnsafePointer<banana_kernels>
  ) {
    self.op = op
    self.rounding = rounding
    self.shape = shape
    self.extents = extents
    layout = op.layout(of: shape)
    linesPerItem = shape[1] + 2 * op.borderHeight
    let count = shape[0] * linesPerItem
    lines = Split(count, into: min(32, max(1, count * layout.rowBytes / grain.elements)))
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
        q.update(repeating: rounding.zero, count: layout.rowBytes)
        continue
      }
      let extent = extents.extent(ofItem: item, in: memory)
      if y == 0 {
        memory.floats(target + layout.scales)[item] = extent > 1e-36 ? extent / 127 : 1
      }
      q.update(repeating: rounding.zero, count: side)
      withUnsafePointer(to: rounding) {
        kernels.pointee.quantize(
          memory.floats(source) + (item * height + y) * count, Int32(shape[2]), Int32(channels),
          $0, extent, q + side)
      }
      (q + side + count).update(repeating: rounding.zero, count: side)
    }
  }
}
