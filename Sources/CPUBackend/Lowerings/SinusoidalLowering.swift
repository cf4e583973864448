import Execution
import Graph
import TensorTypes

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

extension Lowering {
  mutating func lower(_ op: Sinusoidal, _ node: Node) {
    append(
      SinusoidalStep(
        op, rows: node.result.shape[0], source: place(node.operands[0]),
        target: place(node.result)))
  }
}

/// Sines and cosines of a few scalars.
private final class SinusoidalStep: Step {
  private let frequencies: [Double]
  private let scale: Float
  private let rows: Int
  private let source: Place
  private let target: Place

  init(_ op: Sinusoidal, rows: Int, source: Place, target: Place) {
    frequencies = op.frequencies
    scale = op.scale
    self.rows = rows
    self.source = source
    self.target = target
    super.init(op.name, taskCount: 1)
  }

  override func perform(task: Int, worker: Int, in memory: Memory) {
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
