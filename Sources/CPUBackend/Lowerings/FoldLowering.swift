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
  mutating func lower(_ op: Fold, _ node: Node) {
    let turn = FoldTurn(op, node.result.shape)
    let target = place(node.result)
    append(FoldLinesStep(op, turn, source: place(node.operands[0]), target: target, grain))
    append(FoldColumnsStep(op, turn, target: target, grain))
  }
}

/// What both axes are turned by.
private struct FoldTurn {
  let shape: Shape
  let patch: Int
  /// By distance from a border.
  let angles: [(cosine: Float, sine: Float)]

  init(_ op: Fold, _ shape: Shape) {
    self.shape = shape
    patch = op.patch
    angles = (0..<op.overlap).map { (Float(cos(op.angle($0))), Float(sin(op.angle($0)))) }
  }

  /// Floats of a line.
  var lineCount: Int { shape[2] * shape[3] }
}

/// Borders that lines cross; a task is a band of lines of all items.
private final class FoldLinesStep: Step {
  private let turn: FoldTurn
  private let lines: Split
  private let source: Place
  private let target: Place

  init(_ op: Fold, _ turn: FoldTurn, source: Place, target: Place, _ grain: TaskGrain) {
    self.turn = turn
    lines = Split(turn.shape[0] * turn.shape[1], into: turn.shape.count / grain.elements)
    self.source = source
    self.target = target
    super.init(op.name, taskCount: lines.count)
  }

  override func perform(task: Int, worker: Int, in memory: Memory) {
    let channels = turn.shape[3]
    for line in lines.range(task) {
      let y = memory.floats(target) + line * turn.lineCount
      let x = memory.floats(source) + line * turn.lineCount
      if x != y { y.update(from: x, count: turn.lineCount) }
      var border = turn.patch
      while border < turn.shape[2] {
        for i in 0..<turn.angles.count {
          banana_fold(
            y + (border - 1 - i) * channels, y + (border + i) * channels, channels,
            turn.angles[i].cosine, turn.angles[i].sine)
        }
        border += turn.patch
      }
    }
  }
}

/// Borders between lines, in place; a task is some pairs of lines of all items.
private final class FoldColumnsStep: Step {
  private let turn: FoldTurn
  private let pairs: Split
  private let target: Place

  init(_ op: Fold, _ turn: FoldTurn, target: Place, _ grain: TaskGrain) {
    self.turn = turn
    let borders = turn.shape[0] * (turn.shape[1] / turn.patch - 1)
    pairs = Split(
      borders * turn.angles.count,
      into: 2 * borders * turn.angles.count * turn.lineCount / grain.elements)
    self.target = target
    super.init(op.name, taskCount: pairs.count)
  }

  override func perform(task: Int, worker: Int, in memory: Memory) {
    let bordersPerItem = turn.shape[1] / turn.patch - 1
    for pair in pairs.range(task) {
      let (border, i) = pair.quotientAndRemainder(dividingBy: turn.angles.count)
      let (item, number) = border.quotientAndRemainder(dividingBy: bordersPerItem)
      let line = item * turn.shape[1] + (number + 1) * turn.patch
      let y = memory.floats(target)
      banana_fold(
        y + (line - 1 - i) * turn.lineCount, y + (line + i) * turn.lineCount, turn.lineCount,
        turn.angles[i].cosine, turn.angles[i].sine)
    }
  }
}
