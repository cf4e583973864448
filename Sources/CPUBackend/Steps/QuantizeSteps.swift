import CKernels

/// Quantizes the rows of a linear's input into scratch, each with a scale of its own.
final class QuantizeRowsStep: Step {
  private let split: Split
  private let k: Int
  private let stride: Int
  private let xor: UInt8
  private let group: Int?
  private let source: Int
  private let kernels: UnsafePointer<banana_kernels>
  private var memory: Memory?

  init(
    rows: Int, k: Int, stride: Int, xor: UInt8, group: Int?, source: Int,
    _ kernels: UnsafePointer<banana_kernels>
  ) {
    split = Split(rows, into: max(1, rows * k / elementsPerTask))
    self.k = k
    self.stride = stride
    self.xor = xor
    self.group = group
    self.source = source
    self.kernels = kernels
    super.init("quantize", taskCount: split.count)
  }

  override func place(_ memory: Memory) { self.memory = memory }

  override func perform(task: Int, worker: Int) {
    guard let memory else { return }
    let rows = split.range(task)
    let q = memory.scratch.operand + rows.lowerBound * stride
    kernels.pointee.quantize_rows(
      memory.floats(source) + rows.lowerBound * k, k, Int32(rows.count), Int32(k), xor, q, stride,
      memory.scratch.scales + rows.lowerBound)
    if let group {
      let groups = stride / group
      kernels.pointee.int4_group_sums(
        UnsafeRawPointer(q).assumingMemoryBound(to: Int8.self), stride, Int32(rows.count),
        Int32(groups), Int32(group), memory.scratch.sums + rows.lowerBound * groups)
    }
  }
}

/// The largest magnitude in each part of each item of a convolution's input.
final class AbsoluteMaximumStep: Step {
  /// Parts of an item.
  let split: Split
  private let items: Int
  private let source: Int
  private let kernels: UnsafePointer<banana_kernels>
  private var memory: Memory?

  init(_ picture: PaddedPicture, source: Int, _ kernels: UnsafePointer<banana_kernels>) {
    let count = picture.height * picture.width * picture.channels
    split = Split(count, into: min(16, max(1, count / elementsPerTask)))
    items = picture.items
    self.source = source
    self.kernels = kernels
    super.init("quantize", taskCount: split.count * picture.items)
  }

  override func place(_ memory: Memory) { self.memory = memory }

  override func perform(task: Int, worker: Int) {
    guard let memory else { return }
    let (item, part) = task.quotientAndRemainder(dividingBy: split.count)
    let range = split.range(part)
    memory.scratch.scales[items + task] = kernels.pointee.absolute_maximum(
      memory.floats(source) + item * split.total + range.lowerBound, range.count)
  }

  /// An item's largest magnitude, once every task is done.
  func maximum(ofItem item: Int, _ scratch: Scratch) -> Float {
    var largest: Float = 0
    for part in 0..<split.count {
      largest = max(largest, scratch.scales[items + item * split.count + part])
    }
    return largest
  }
}

/// Quantizes a convolution's input into scratch, with its border and a scale an item.
final class QuantizePictureStep: Step {
  private let picture: PaddedPicture
  private let lines: Split
  private let source: Int
  private let xor: UInt8
  private let maxima: AbsoluteMaximumStep
  private let kernels: UnsafePointer<banana_kernels>
  private var memory: Memory?

  init(
    _ picture: PaddedPicture, source: Int, xor: UInt8, maxima: AbsoluteMaximumStep,
    _ kernels: UnsafePointer<banana_kernels>
  ) {
    self.picture = picture
    self.source = source
    self.xor = xor
    self.maxima = maxima
    self.kernels = kernels
    lines = Split(
      picture.items * picture.paddedHeight,
      into: min(32, max(1, picture.paddedCount / elementsPerTask)))
    super.init("quantize", taskCount: lines.count)
  }

  override func place(_ memory: Memory) { self.memory = memory }

  override func perform(task: Int, worker: Int) {
    guard let memory else { return }
    let x = memory.floats(source)
    let count = picture.width * picture.channels
    let side = picture.border.x * picture.channels
    for line in lines.range(task) {
      let (item, paddedY) = line.quotientAndRemainder(dividingBy: picture.paddedHeight)
      let y = paddedY - picture.border.y
      let target = memory.scratch.operand + line * picture.lineStride
      guard y >= 0, y < picture.height else {
        target.update(repeating: xor, count: picture.lineStride)
        continue
      }
      let largest = maxima.maximum(ofItem: item, memory.scratch)
      if y == 0 { memory.scratch.scales[item] = largest > 1e-36 ? largest / 127 : 1 }
      target.update(repeating: xor, count: side)
      kernels.pointee.quantize(
        x + (item * picture.height + y) * count, count, largest, xor, target + side)
      (target + side + count).update(repeating: xor, count: side)
    }
  }
}

/// Copies a convolution's f32 input into scratch, with its border.
final class PadStep: Step {
  private let picture: PaddedPicture
  private let lines: Split
  private let source: Int
  private var memory: Memory?

  init(_ picture: PaddedPicture, source: Int) {
    self.picture = picture
    self.source = source
    lines = Split(
      picture.items * picture.paddedHeight,
      into: min(32, max(1, picture.paddedCount / elementsPerTask)))
    super.init("pad", taskCount: lines.count)
  }

  override func place(_ memory: Memory) { self.memory = memory }

  override func perform(task: Int, worker: Int) {
    guard let memory else { return }
    let padded = UnsafeMutableRawPointer(memory.scratch.operand)
      .assumingMemoryBound(to: Float.self)
    let count = picture.width * picture.channels
    let side = picture.border.x * picture.channels
    for line in lines.range(task) {
      let (item, paddedY) = line.quotientAndRemainder(dividingBy: picture.paddedHeight)
      let y = paddedY - picture.border.y
      let target = padded + line * picture.lineStride
      guard y >= 0, y < picture.height else {
        target.update(repeating: 0, count: picture.lineStride)
        continue
      }
      target.update(repeating: 0, count: side)
      (target + side).update(
        from: memory.floats(source) + (item * picture.height + y) * count, count: count)
      (target + side + count).update(repeating: 0, count: side)
    }
  }
}
