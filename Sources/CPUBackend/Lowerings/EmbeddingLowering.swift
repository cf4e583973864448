import CKernels
import Execution
import Graph
import TensorTypes

extension Lowering {
  mutating func lower(_ op: Embedding, _ node: Node) throws(ExecutionError) {
    append(
      EmbeddingStep(
        op, try weights.table(op.table), count: node.operands[0].shape.count,
        source: place(node.operands[0]),
        more: node.operands.dropFirst().first.map { (place: place($0), count: $0.shape[0]) },
        target: place(node.result), grain))
  }
}

/// Rows of an embedding table.
private final class EmbeddingStep: Step {
  private let table: BoundTable
  private let rowCount: Int
  private let width: Int
  private let split: Split
  private let source: Place
  /// Rows behind the table's, and how many.
  private let more: (place: Place, count: Int)?
  private let target: Place

  init(
    _ op: Embedding, _ table: BoundTable, count: Int, source: Place,
    more: (place: Place, count: Int)?, target: Place, _ grain: TaskGrain
  ) {
    self.more = more
    self.table = table
    (rowCount, width) = (op.table.shape[0], op.table.shape[1])
    split = Split(count, into: count * width / grain.elements)
    self.source = source
    self.target = target
    super.init(op.name, taskCount: split.count)
  }

  override func perform(task: Int, worker: Int, in memory: Memory) {
    let ids = memory.integers(source)
    let y = memory.floats(target)
    for token in split.range(task) {
      let id = ids[token]
      let row = y + token * width
      if let more, id >= rowCount {
        precondition(Int(id) < rowCount + more.count, "id \(id) is not a row")
        let from = memory.floats(more.place) + (Int(id) - rowCount) * width
        row.update(from: from, count: width)
        continue
      }
      precondition(id >= 0 && id < rowCount, "id \(id) is not a row of a table of \(rowCount)")
      switch table {
      case .plain(let data, let storage):
        banana_embedding_plain(data, storage, Int32(width), id, row)
      case .int8(let data, let scales): banana_embedding_int8(data, scales, Int32(width), id, row)
      case .int4(let data, let group):
        banana_embedding_int4(data, Int32(group), Int32(width), id, row)
      }
    }
  }
}
