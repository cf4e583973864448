import CKernels
import Execution
import Graph
import TensorTypes

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

extension Lowering {
  mutating func lower(_ op: HeadNorm, _ node: Node) throws(ExecutionError) {
    append(
      try HeadNormStep(
        op, node.result.shape, weight: try op.weight.map(weights.vector),
        source: offset(node.operands[0]), target: offset(node.result), grain, kernels))
  }
}

/// Per-head RMS normalization and rotary embedding.
private final class HeadNormStep: Step {
  private var arguments = banana_head_norm()
  private let tables: HostBuffer?
  private let split: Split
  private let source: Int
  private let target: Int
  private let kernels: UnsafePointer<banana_kernels>

  init(
    _ op: HeadNorm, _ shape: Shape, weight: UnsafePointer<Float>?, source: Int, target: Int,
    _ grain: TaskGrain, _ kernels: UnsafePointer<banana_kernels>
  ) throws(ExecutionError) {
    let width = shape.last / op.heads
    arguments.x_stride = shape.last
    arguments.y_stride = shape.last
    arguments.heads = Int32(op.heads)
    arguments.width = Int32(width)
    arguments.weight = weight
    arguments.epsilon = op.epsilon
    tables = try op.grid.map { (grid) throws(ExecutionError) in
      try Self.angles(grid, width: width)
    }
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

  /// Cosines, then sines, `[position, width / 2]`: the y axis' pairs, then the x axis'.
  private static func angles(
    _ grid: HeadNorm.Grid, width: Int
  ) throws(ExecutionError) -> HostBuffer {
    let (positions, pairs) = (grid.height * grid.width, width / 4)
    let buffer = try HostBuffer(planned: positions * width * 4)
    for position in 0..<positions {
      for (axis, along) in [position / grid.width, position % grid.width].enumerated() {
        for pair in 0..<pairs {
          let angle = Double(along) * pow(Double(grid.base), -Double(pair) / Double(pairs))
          let index = position * width / 2 + axis * pairs + pair
          buffer.floats[index] = Float(cos(angle))
          buffer.floats[positions * width / 2 + index] = Float(sin(angle))
        }
      }
    }
    return buffer
  }

  override func perform(task: Int, worker: Int, in memory: Memory) {
    var placed = arguments
    placed.x = UnsafePointer(memory.floats(source))
    placed.y = memory.floats(target)
    let rows = split.range(task)
    kernels.pointee.head_norm(&placed, Int32(rows.lowerBound), Int32(rows.upperBound))
  }
}
