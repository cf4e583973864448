import CKernels
import Execution
import Graph
import TensorTypes

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// RMS or layer normalization.
final class NormStep: Step {
  private let arguments: UnsafeMutablePointer<banana_norm>
  private let split: Split
  private let source: Int
  private let scale: Int?
  private let shift: Int?
  private let target: Int
  private let kernels: UnsafePointer<banana_kernels>

  init(
    _ arguments: banana_norm, rows: Int, source: Int, scale: Int?, shift: Int?, target: Int,
    _ kernels: UnsafePointer<banana_kernels>
  ) {
    self.arguments = .allocate(capacity: 1)
    self.arguments.initialize(to: arguments)
    split = Split(rows, into: max(1, rows * Int(arguments.n) / elementsPerTask))
    self.source = source
    self.scale = scale
    self.shift = shift
    self.target = target
    self.kernels = kernels
    super.init("norm", taskCount: split.count)
  }

  deinit { arguments.deallocate() }

  override func place(_ memory: Memory) {
    arguments.pointee.x = UnsafePointer(memory.floats(source))
    arguments.pointee.y = memory.floats(target)
    arguments.pointee.scale = scale.map { UnsafePointer(memory.floats($0)) }
    arguments.pointee.shift = shift.map { UnsafePointer(memory.floats($0)) }
  }

  override func perform(task: Int, worker: Int) {
    let rows = split.range(task)
    kernels.pointee.norm(arguments, Int32(rows.lowerBound), Int32(rows.upperBound))
  }
}

/// Per-head RMS normalization and rotary embedding.
final class RotaryStep: Step {
  private let arguments: UnsafeMutablePointer<banana_rope>
  private let tables: HostBuffer?
  private let split: Split
  private let source: Int
  private let target: Int
  private let kernels: UnsafePointer<banana_kernels>

  init(
    _ op: Rotary, shape: Shape, weight: UnsafePointer<Float>?, source: Int, target: Int,
    _ kernels: UnsafePointer<banana_kernels>
  ) throws(ExecutionError) {
    let width = shape.last / op.heads
    var rope = banana_rope()
    rope.x_stride = shape.last
    rope.y_stride = shape.last
    rope.heads = Int32(op.heads)
    rope.width = Int32(width)
    rope.weight = weight
    rope.epsilon = op.epsilon
    tables = try op.grid.map { (grid) throws(ExecutionError) in
      try Self.angles(grid, width: width)
    }
    if let grid = op.grid, let tables, let cosine = tables.floats.baseAddress {
      rope.positions = Int32(grid.height * grid.width)
      rope.stretch = Int32(width / 2)
      rope.cosine = UnsafePointer(cosine)
      rope.sine = UnsafePointer(cosine + grid.height * grid.width * width / 2)
    }
    arguments = .allocate(capacity: 1)
    arguments.initialize(to: rope)
    split = Split(shape.rows, into: max(1, shape.count / elementsPerTask))
    self.source = source
    self.target = target
    self.kernels = kernels
    super.init("rotary", taskCount: split.count)
  }

  deinit { arguments.deallocate() }

  /// Cosines, then sines, `[position, width / 2]`: the y axis' pairs, then the x axis'.
  private static func angles(
    _ grid: Rotary.Grid, width: Int
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

  override func place(_ memory: Memory) {
    arguments.pointee.x = UnsafePointer(memory.floats(source))
    arguments.pointee.y = memory.floats(target)
  }

  override func perform(task: Int, worker: Int) {
    let rows = split.range(task)
    kernels.pointee.rope(arguments, Int32(rows.lowerBound), Int32(rows.upperBound))
  }
}

/// Sines and cosines of a few scalars.
final class SinusoidalStep: Step {
  private let frequencies: [Double]
  private let scale: Float
  private let rows: Int
  private let source: Int
  private let target: Int
  private var memory: Memory?

  init(_ op: Sinusoidal, rows: Int, source: Int, target: Int) {
    let half = op.width / 2
    frequencies = (0..<half).map { exp(-log(Double(op.maximumPeriod)) * Double($0) / Double(half)) }
    scale = op.scale
    self.rows = rows
    self.source = source
    self.target = target
    super.init("sinusoidal", taskCount: 1)
  }

  override func place(_ memory: Memory) { self.memory = memory }

  override func perform(task: Int, worker: Int) {
    guard let memory else { return }
    let x = memory.floats(source)
    let y = memory.floats(target)
    let half = frequencies.count
    for row in 0..<rows {
      let value = Double(scale * x[row])
      for i in 0..<half {
        y[row * 2 * half + i] = Float(cos(value * frequencies[i]))
        y[row * 2 * half + half + i] = Float(sin(value * frequencies[i]))
      }
    }
  }
}

/// The mean over tokens.
final class MeanPoolStep: Step {
  private let shape: Shape
  private let source: Int
  private let mask: Int
  private let target: Int
  private var memory: Memory?

  init(shape: Shape, source: Int, mask: Int, target: Int) {
    self.shape = shape
    self.source = source
    self.mask = mask
    self.target = target
    super.init("meanPool", taskCount: shape[0])
  }

  override func place(_ memory: Memory) { self.memory = memory }

  override func perform(task: Int, worker: Int) {
    guard let memory else { return }
    let (tokens, width) = (shape[1], shape[2])
    banana_mean_pool(
      memory.floats(source) + task * tokens * width, memory.floats(mask) + task * tokens,
      Int32(tokens), Int32(width), memory.floats(target) + task * width)
  }
}
