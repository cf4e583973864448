import CKernels
import Execution
import Graph
import TensorTypes

extension Lowering {
  mutating func lower(_ op: HeadNorm, _ node: Node) throws(ExecutionError) {
    let table = op.angles(over: node.result.shape)
    if let table, angles[table] == nil { angles[table] = try table.make() }
    append(
      HeadNormStep(
        op, node.result.shape, weight: try op.weight.map(weights.vector),
        table.flatMap { angles[$0] },
        source: place(node.operands[0]), target: place(node.result), grain, kernels))
  }
}

/// Cosines, then sines, `[position, width / 2]`: the y axis' pairs, then the x axis'.
struct AngleTable: Hashable {
  let grid: HeadNorm.Grid
  /// Of a head.
  let width: Int

  private var positions: Int { grid.height * grid.width }
  var byteCount: Int { 4 * positions * width }

  fileprivate func make() throws(ExecutionError) -> HostBuffer {
    let buffer = try HostBuffer(planned: byteCount)
    _ = buffer.floats.update(fromContentsOf: grid.angles(headWidth: width))
    return buffer
  }
}

extension HeadNorm {
  /// What has to be worked out beforehand for values of `shape`; nil without a grid.
  func angles(over shape: Shape) -> AngleTable? {
    grid.map { AngleTable(grid: $0, width: shape.last / heads) }
  }
}

/// Per-head RMS normalization and rotary embedding.
private final class HeadNormStep: Step {
  private var arguments = banana_head_norm()
  private let tables: HostBuffer?
  private let split: Split
  private let source: Place
  private let target: Place
  private let kernels: UnsafePointer<banana_kernels>

  init(
    _ op: HeadNorm, _ shape: Shape, weight: UnsafePointer<Float>?, _ tables: HostBuffer?,
    source: Place, target: Place, _ grain: TaskGrain, _ kernels: UnsafePointer<banana_kernels>
  ) {
    let width = shape.last / op.heads
    arguments.x_stride = shape.last
    arguments.y_stride = shape.last
    arguments.heads = Int32(op.heads)
    arguments.width = Int32(width)
    arguments.weight = weight
    arguments.epsilon = op.epsilon
    self.tables = tables
    if let grid = op.grid, let tables, let cosine = tables.floats.baseAddress {
      arguments.positions = Int32(grid.height * grid.width)
      arguments.stretch = Int32(width / 2)
      arguments.cosine = UnsafePointer(cosine)
      arguments.sine = UnsafePointer(cosine + grid.height * grid.width * width / 2)
    }
    split = Split(shape.rows, into: max(1, shape.count / grain.elements))
    self.source = source
    self.target = target
    self.kernels = kernels
    super.init(op.name, taskCount: split.count)
  }

  override func perform(task: Int, worker: Int, in memory: Memory) {
    var placed = arguments
    placed.x = UnsafePointer(memory.floats(source))
    placed.y = memory.floats(target)
    let rows = split.range(task)
    kernels.pointee.head_norm(&placed, Int32(rows.lowerBound), Int32(rows.upperBound))
  }
}
