import CKernels
import Execution
import Graph
import TensorTypes

extension Attention {
  /// Bytes that each thread needs of its own.
  func workerBytes(_ node: Node, isPacked: Bool) -> Int {
    let width = Int32(node.result.shape.last / heads)
    if isPacked { return 4 * Int(banana_attention_bf16_scratch(width)) }
    let bands = bands(of: node.result.shape)
    let rows = (0..<bands.count).map { bands.range($0).count }.max() ?? 0
    let floats = banana_attention_scratch(
      width, Int32(keyCount(node)), Int32(rows * heads / keyValueHeads))
    return (4 * Int(floats) + 63) / 64 * 64
  }

  /// Bytes of the keys and values that all threads read, packed once.
  func packedBytes(_ node: Node) -> Int {
    node.result.shape[0] * keyValueHeads * 4 * packedPairs(node)
  }

  /// Pairs of bf16 of a key head of an item.
  fileprivate func packedPairs(_ node: Node) -> Int {
    let width = Int32(node.result.shape.last / heads)
    return Int(banana_attention_bf16_packed(width, Int32(keyCount(node))))
  }

  /// Keys of all segments.
  fileprivate func keyCount(_ node: Node) -> Int {
    segmentOperands.reduce(0) { $0 + node.operands[$1.keys].shape[1] }
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
    let attention = PlacedAttention(op, node, place: place)
    guard let packed = plan.sharedPlaces[node.result] else {
      append(AttentionStep(op, node, attention, kernels))
      return
    }
    append(PackKeysStep(op, node, attention, packed: packed, grain, kernels))
    append(PackedAttentionStep(op, node, attention, packed: packed, kernels))
  }
}

/// What attention's kernels are told, with places in memory instead of pointers.
private struct PlacedAttention {
  private var arguments = banana_attention()
  private var segments: [banana_attention_segment] = []
  private let operands: [Attention.SegmentOperands]
  private let places: [Place]
  private let target: Place

  init(_ op: Attention, _ node: Node, place: (Value) -> Place) {
    let shape = node.result.shape
    let width = shape.last / op.heads
    operands = op.segmentOperands
    places = node.operands.map(place)
    target = place(node.result)
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
  }

  func withArguments(
    in memory: Memory, _ body: (UnsafePointer<banana_attention>) -> Void
  ) {
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
      body(&attention)
    }
  }
}

/// Grouped-query attention; a task is a band of queries of the heads that share a key head.
private final class AttentionStep: Step {
  private let attention: PlacedAttention
  private let keyValueHeads: Int
  private let bands: Split
  private let kernels: UnsafePointer<banana_kernels>

  init(
    _ op: Attention, _ node: Node, _ attention: PlacedAttention,
    _ kernels: UnsafePointer<banana_kernels>
  ) {
    self.attention = attention
    keyValueHeads = op.keyValueHeads
    bands = op.bands(of: node.result.shape)
    self.kernels = kernels
    super.init(op.name, taskCount: node.result.shape[0] * op.keyValueHeads * bands.count)
  }

  override func perform(task: Int, worker: Int, in memory: Memory) {
    let (head, band) = task.quotientAndRemainder(dividingBy: bands.count)
    let rows = bands.range(band)
    attention.withArguments(in: memory) { arguments in
      kernels.pointee.attention(
        arguments, Int32(head / keyValueHeads), Int32(head % keyValueHeads),
        Int32(rows.lowerBound), Int32(rows.upperBound),
        memory.worker(worker).assumingMemoryBound(to: Float.self))
    }
  }
}

/// The keys and values of all key heads, rounded to bf16 `[item, key head, pair]`; a task is some
/// keys of a head.
private final class PackKeysStep: Step {
  private let attention: PlacedAttention
  private let keyValueHeads: Int
  private let keys: Split
  private let packed: Place
  private let pairs: Int
  private let kernels: UnsafePointer<banana_kernels>

  init(
    _ op: Attention, _ node: Node, _ attention: PlacedAttention, packed: Place,
    _ grain: TaskGrain, _ kernels: UnsafePointer<banana_kernels>
  ) {
    self.attention = attention
    keyValueHeads = op.keyValueHeads
    let (shape, count) = (node.result.shape, op.keyCount(node))
    keys = Split(
      count, into: max(1, 2 * count * shape.last / op.heads / grain.elements), multiple: 2)
    self.packed = packed
    pairs = op.packedPairs(node)
    self.kernels = kernels
    super.init("\(op.name) keys", taskCount: shape[0] * op.keyValueHeads * keys.count)
  }

  override func perform(task: Int, worker: Int, in memory: Memory) {
    let (head, part) = task.quotientAndRemainder(dividingBy: keys.count)
    let range = keys.range(part)
    attention.withArguments(in: memory) { arguments in
      kernels.pointee.attention_bf16_pack?(
        arguments, Int32(head / keyValueHeads), Int32(head % keyValueHeads),
        Int32(range.lowerBound), Int32(range.upperBound), memory.pairs(packed) + head * pairs)
    }
  }
}

/// Grouped-query attention over packed keys; a task is a band of queries of a head.
private final class PackedAttentionStep: Step {
  private let attention: PlacedAttention
  private let heads: Int
  private let group: Int
  private let bands: Split
  private let packed: Place
  private let pairs: Int
  private let kernels: UnsafePointer<banana_kernels>

  init(
    _ op: Attention, _ node: Node, _ attention: PlacedAttention, packed: Place,
    _ kernels: UnsafePointer<banana_kernels>
  ) {
    self.attention = attention
    heads = op.heads
    group = op.heads / op.keyValueHeads
    self.packed = packed
    pairs = op.packedPairs(node)
    let (items, tokens) = (node.result.shape[0], node.result.shape[1])
    bands = Split(tokens, into: max(1, 64 / (items * op.heads)), multiple: 64)
    self.kernels = kernels
    super.init("\(op.name) bf16", taskCount: items * op.heads * bands.count)
  }

  override func perform(task: Int, worker: Int, in memory: Memory) {
    let (head, band) = task.quotientAndRemainder(dividingBy: bands.count)
    let rows = bands.range(band)
    attention.withArguments(in: memory) { arguments in
      kernels.pointee.attention_bf16?(
        arguments, Int32(head / heads), Int32(head % heads), Int32(rows.lowerBound),
        Int32(rows.upperBound), memory.pairs(packed) + head / group * pairs,
        memory.worker(worker).assumingMemoryBound(to: Float.self))
    }
  }
}

extension Memory {
  fileprivate func pairs(_ place: Place) -> UnsafeMutablePointer<UInt32> {
    UnsafeMutableRawPointer(bytes(place)).assumingMemoryBound(to: UInt32.self)
  }
}
