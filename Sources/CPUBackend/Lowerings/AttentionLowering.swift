import CKernels
import Execution
import Graph
import TensorTypes

extension Attention {
  /// Bytes that each thread needs of its own.
  func workerBytes(_ node: Node) -> Int {
    let keys = segmentOperands.reduce(0) { $0 + node.operands[$1.keys].shape[1] }
    let bands = bands(of: node.result.shape)
    let rows = (0..<bands.count).map { bands.range($0).count }.max() ?? 0
    let floats = banana_attention_scratch(
      Int32(node.result.shape.last / heads), Int32(keys), Int32(rows * heads / keyValueHeads))
    return (4 * Int(floats) + 63) / 64 * 64
  }

  /// How the queries of a key head are cut: every band packs the keys anew, so there are no more
  /// than threads need to share, but their sums are kept in a core's cache.
  fileprivate func bands(of shape: Shape) -> Split {
    let (width, tokens) = (shape.last / heads, shape[1])
    let limit = max(8, min(max(32_768 / width, 32), 256) * keyValueHeads / heads)
    let tasks = 64 / (shape[0] * keyValueHeads)
    return Split(
      tokens, into: max(1, (tokens + limit - 1) / limit, min(tasks, tokens / 32)), multiple: 8)
  }
}

extension Lowering {
  mutating func lower(_ op: Attention, _ node: Node) {
    append(AttentionStep(op, node, kernels, place: place))
  }
}

/// Grouped-query attention; a task is a band of queries of the heads that share a key head.
private final class AttentionStep: Step {
  private var arguments = banana_attention()
  private var segments: [banana_attention_segment] = []
  private let operands: [Attention.SegmentOperands]
  private let places: [Place]
  private let target: Place
  private let keyValueHeads: Int
  private let bands: Split
  private let kernels: UnsafePointer<banana_kernels>

  init(
    _ op: Attention, _ node: Node, _ kernels: UnsafePointer<banana_kernels>,
    place: (Value) -> Place
  ) {
    let shape = node.result.shape
    let width = shape.last / op.heads
    operands = op.segmentOperands
    places = node.operands.map(place)
    target = place(node.result)
    keyValueHeads = op.keyValueHeads
    self.kernels = kernels
    for (segment, form) in zip(operands, op.segments) {
      let keyShape = node.operands[segment.keys].shape
      var described = banana_attention_segment()
      described.tokens = Int32(keyShape[1])
      described.k_stride = keyShape.last
      described.v_stride = keyShape.last
      described.k_item_stride = keyShape[1] * keyShape.last
      described.v_item_stride = keyShape[1] * keyShape.last
      described.bias_item_stride = keyShape[1]
      described.causal = form.isCausal
      segments.append(described)
    }
    arguments.q_stride = shape.last
    arguments.q_item_stride = shape[1] * shape.last
    arguments.out_stride = shape.last
    arguments.out_item_stride = shape[1] * shape.last
    arguments.heads = Int32(op.heads)
    arguments.kv_heads = Int32(op.keyValueHeads)
    arguments.width = Int32(width)
    arguments.scale = Float(1 / Double(width).squareRoot())
    arguments.segment_count = Int32(op.segments.count)
    bands = op.bands(of: shape)
    super.init(op.name, taskCount: shape[0] * op.keyValueHeads * bands.count)
  }

  override func perform(task: Int, worker: Int, in memory: Memory) {
    let (head, band) = task.quotientAndRemainder(dividingBy: bands.count)
    let rows = bands.range(band)
    // On the stack: segments are few.
    withUnsafeTemporaryAllocation(
      of: banana_attention_segment.self, capacity: segments.count
    ) { placed in
      // By index: without optimization, an array's iterator allocates.
      for index in 0..<segments.count {
        var segment = segments[index]
        segment.k = UnsafePointer(memory.floats(places[operands[index].keys]))
        segment.v = UnsafePointer(memory.floats(places[operands[index].values]))
        if let bias = operands[index].bias {
          segment.bias = UnsafePointer(memory.floats(places[bias]))
        }
        placed.initializeElement(at: index, to: segment)
      }
      var attention = arguments
      attention.q = UnsafePointer(memory.floats(places[0]))
      attention.out = memory.floats(target)
      attention.segments = UnsafePointer(placed.baseAddress)
      kernels.pointee.attention(
        &attention, Int32(head / keyValueHeads), Int32(head % keyValueHeads),
        Int32(rows.lowerBound), Int32(rows.upperBound),
        memory.worker(worker).assumingMemoryBound(to: Float.self))
    }
  }
}
