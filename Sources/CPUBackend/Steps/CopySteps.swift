import CKernels
import Graph
import TensorTypes

/// A stored tensor into the arena.
final class CopyStep: Step {
  private let source: UnsafePointer<Float>
  private let target: Int
  private let count: Int
  private var memory: Memory?

  init(source: UnsafePointer<Float>, target: Int, count: Int) {
    self.source = source
    self.target = target
    self.count = count
    super.init("parameter", taskCount: 1)
  }

  override func place(_ memory: Memory) { self.memory = memory }

  override func perform(task: Int, worker: Int) {
    memory?.floats(target).update(from: source, count: count)
  }
}

/// Some channels of every row.
final class SliceStep: Step {
  private let op: Slice
  private let rows: Split
  private let sourceWidth: Int
  private let source: Int
  private let target: Int
  private var memory: Memory?

  init(_ op: Slice, rows: Int, sourceWidth: Int, source: Int, target: Int) {
    self.op = op
    self.rows = Split(rows, into: rows * op.count / elementsPerTask)
    self.sourceWidth = sourceWidth
    self.source = source
    self.target = target
    super.init("slice", taskCount: self.rows.count)
  }

  override func place(_ memory: Memory) { self.memory = memory }

  override func perform(task: Int, worker: Int) {
    guard let memory else { return }
    let x = memory.floats(source) + op.offset
    let y = memory.floats(target)
    for row in rows.range(task) {
      (y + row * op.count).update(from: x + row * sourceWidth, count: op.count)
    }
  }
}

/// Rows of an embedding table.
final class EmbeddingStep: Step {
  private let table: BoundTable
  private let rowCount: Int
  private let width: Int
  private let split: Split
  private let source: Int
  private let target: Int
  private var memory: Memory?

  init(_ table: BoundTable, tableShape: Shape, count: Int, source: Int, target: Int) {
    self.table = table
    rowCount = tableShape[0]
    width = tableShape[1]
    split = Split(count, into: count * tableShape[1] / elementsPerTask)
    self.source = source
    self.target = target
    super.init("embedding", taskCount: split.count)
  }

  override func place(_ memory: Memory) { self.memory = memory }

  override func perform(task: Int, worker: Int) {
    guard let memory else { return }
    let ids = (memory.arena + source).assumingMemoryBound(to: Int32.self)
    let y = memory.floats(target)
    for token in split.range(task) {
      let id = ids[token]
      precondition(id >= 0 && id < rowCount, "id \(id) is not a row of a table of \(rowCount)")
      let row = y + token * width
      switch table {
      case .plain(let data, let storage): banana_gather_plain(data, storage, Int32(width), id, row)
      case .int8(let data, let scales): banana_gather_int8(data, scales, Int32(width), id, row)
      case .int4(let data, let group):
        banana_gather_int4(data, Int32(group), Int32(width), id, row)
      }
    }
  }
}

/// Depth to space, or its inverse; a task is a band of coarse lines of one item.
final class PixelShuffleStep: Step {
  private let coarse: Shape
  private let factor: Int
  private let isInverse: Bool
  private let lines: Split
  private let source: Int
  private let target: Int
  private var memory: Memory?

  init(
    _ name: String, coarse: Shape, factor: Int, isInverse: Bool, source: Int, target: Int
  ) {
    self.coarse = coarse
    self.factor = factor
    self.isInverse = isInverse
    lines = Split(coarse[1], into: coarse[1] * coarse[2] * coarse[3] / (2 * elementsPerTask))
    self.source = source
    self.target = target
    super.init(name, taskCount: coarse[0] * lines.count)
  }

  override func place(_ memory: Memory) { self.memory = memory }

  override func perform(task: Int, worker: Int) {
    guard let memory else { return }
    let (item, part) = task.quotientAndRemainder(dividingBy: lines.count)
    let band = lines.range(part)
    let start = item * coarse[1] * coarse[2] * coarse[3]
    let x = memory.floats(source) + start
    let y = memory.floats(target) + start
    let (width, channels) = (Int32(coarse[2]), Int32(coarse[3] / (factor * factor)))
    let (first, end) = (Int32(band.lowerBound), Int32(band.upperBound))
    if isInverse {
      banana_space_to_depth(x, width, channels, Int32(factor), first, end, y)
    } else {
      banana_depth_to_space(x, width, channels, Int32(factor), first, end, y)
    }
  }
}
