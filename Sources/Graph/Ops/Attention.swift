package import TensorTypes

/// Grouped-query attention: `softmax(q k^T / sqrt(headWidth) + bias) v`, where each group of
/// `heads / keyValueHeads` query heads shares a key and value head.
///
/// Operands: queries `[batch, token, heads * headWidth]`; then for each segment keys and values
/// `[batch, key, keyValueHeads * headWidth]` and, if the segment is masked, a bias `[batch, key]`
/// (0, or -infinity for a padding key). The keys of all segments are attended to together, but that
/// the first queries do not see the later keys of a causal one. The result has the queries' shape.
///
/// Ainslie et al. 2023, "GQA: Training Generalized Multi-Query Transformer Models".
package struct Attention: OpPayload {
  package var name: String { "attention" }
  package struct Segment: Hashable, Sendable {
    package let isMasked: Bool
    /// Key t is hidden from the queries before token t; there are as many keys as queries.
    package let isCausal: Bool

    package init(isMasked: Bool, isCausal: Bool = false) {
      self.isMasked = isMasked
      self.isCausal = isCausal
    }
  }

  package let heads: Int
  package let keyValueHeads: Int
  package let segments: [Segment]

  package init(heads: Int, keyValueHeads: Int, segments: [Segment]) {
    self.heads = heads
    self.keyValueHeads = keyValueHeads
    self.segments = segments
  }

  /// Where a segment's keys, values and bias stand among the operands.
  package struct SegmentOperands: Hashable, Sendable {
    package let keys: Int
    package let values: Int
    package let bias: Int?
  }

  package var segmentOperands: [SegmentOperands] {
    var next = 1
    return segments.map { segment in
      defer { next += segment.isMasked ? 3 : 2 }
      return SegmentOperands(
        keys: next, values: next + 1, bias: segment.isMasked ? next + 2 : nil)
    }
  }

  /// The queries of a head: they become scores before anything is written.
  package func replaceableOperands(_ operands: [Value], result: Shape) -> [Int] { [0] }

  package func operationCount(_ operands: [Value], result: Shape) -> Int {
    let keys = segmentOperands.reduce(0) { $0 + operands[$1.keys].shape[1] }
    return 4 * operands[0].shape.count * keys
  }

  package func resultShape(_ operands: [Value]) throws(ShapeError) -> Shape {
    let expected = 1 + segments.reduce(0) { $0 + ($1.isMasked ? 3 : 2) }
    guard operands.count == expected, !segments.isEmpty else {
      throw ShapeError(name, "takes \(expected) operands, was given \(operands.count)")
    }
    let q = operands[0].shape
    guard q.rank == 3, heads > 0, keyValueHeads > 0, q.last % heads == 0,
      heads % keyValueHeads == 0
    else {
      throw ShapeError(name, "\(q) does not split into \(heads)/\(keyValueHeads) heads")
    }
    let width = q.last / heads * keyValueHeads
    for (segment, form) in zip(segmentOperands, segments) {
      let (k, v) = (operands[segment.keys].shape, operands[segment.values].shape)
      guard k.rank == 3, k == v, k[0] == q[0], k.last == width else {
        throw ShapeError(name, "keys \(k) and values \(v) do not fit queries \(q)")
      }
      if form.isCausal, k[1] != q[1] {
        throw ShapeError(name, "\(k[1]) causal keys are not one for each of \(q[1]) queries")
      }
      if let bias = segment.bias, operands[bias].shape != [k[0], k[1]] {
        throw ShapeError(name, "bias \(operands[bias].shape) does not fit keys \(k)")
      }
    }
    return q
  }
}
