import CKernels
import Graph
import TensorTypes

/// Grouped-query attention; a task is a band of queries of the heads that share a key head.
final class AttentionStep: Step {
  private let arguments: UnsafeMutablePointer<banana_attention>
  private let segments: UnsafeMutablePointer<banana_attention_segment>
  private let operands: [Attention.SegmentOperands]
  private let offsets: [Int]
  private let target: Int
  private let keyValueHeads: Int
  private let bands: Split
  private let kernels: UnsafePointer<banana_kernels>
  private var scratch: Scratch?
  /// Bytes that each thread needs.
  let scratchBytes: Int

  init(
    _ op: Attention, _ node: Node, _ kernels: UnsafePointer<banana_kernels>,
    offset: (Value) -> Int
  ) {
    let shape = node.result.shape
    let width = shape.last / op.heads
    operands = op.segmentOperands
    offsets = node.operands.map(offset)
    target = offset(node.result)
    keyValueHeads = op.keyValueHeads
    self.kernels = kernels
    segments = .allocate(capacity: op.segments.count)
    var keys = 0
    for (index, segment) in operands.enumerated() {
      let keyShape = node.operands[segment.keys].shape
      var described = banana_attention_segment()
      described.tokens = Int32(keyShape[1])
      described.k_stride = keyShape.last
      described.v_stride = keyShape.last
      described.k_item_stride = keyShape[1] * keyShape.last
      described.v_item_stride = keyShape[1] * keyShape.last
      described.bias_item_stride = keyShape[1]
      (segments + index).initialize(to: described)
      keys += keyShape[1]
    }
    var attention = banana_attention()
    attention.q_stride = shape.last
    attention.q_item_stride = shape[1] * shape.last
    attention.out_stride = shape.last
    attention.out_item_stride = shape[1] * shape.last
    attention.heads = Int32(op.heads)
    attention.kv_heads = Int32(op.keyValueHeads)
    attention.width = Int32(width)
    attention.scale = Float(1 / Double(width).squareRoot())
    attention.segment_count = Int32(op.segments.count)
    attention.segments = UnsafePointer(segments)
    arguments = .allocate(capacity: 1)
    arguments.initialize(to: attention)
    scratchBytes = banana_attention_scratch(Int32(width), Int32(keys)) * 4
    // Every band packs the keys anew: 32 queries a band keep that small beside the products.
    bands = Split(shape[1], into: max(1, shape[1] / 32), multiple: 8)
    super.init("attention", taskCount: shape[0] * op.keyValueHeads * bands.count)
  }

  deinit {
    arguments.deallocate()
    segments.deallocate()
  }

  override func place(_ memory: Memory) {
    scratch = memory.scratch
    arguments.pointee.q = UnsafePointer(memory.floats(offsets[0]))
    arguments.pointee.out = memory.floats(target)
    for (index, segment) in operands.enumerated() {
      segments[index].k = UnsafePointer(memory.floats(offsets[segment.keys]))
      segments[index].v = UnsafePointer(memory.floats(offsets[segment.values]))
      segments[index].bias = segment.bias.map { UnsafePointer(memory.floats(offsets[$0])) }
    }
  }

  override func perform(task: Int, worker: Int) {
    guard let scratch else { return }
    let (head, band) = task.quotientAndRemainder(dividingBy: bands.count)
    let rows = bands.range(band)
    kernels.pointee.attention(
      arguments, Int32(head / keyValueHeads), Int32(head % keyValueHeads),
      Int32(rows.lowerBound), Int32(rows.upperBound),
      scratch.worker(worker).assumingMemoryBound(to: Float.self))
  }
}
