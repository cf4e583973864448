import CKernels
import Execution
import Graph
import TensorTypes

extension Lowering {
  mutating func lower(_ op: Linear, _ node: Node) throws(ExecutionError) {
    let (n, k) = (op.weight.shape[0], op.weight.shape[1])
    let rows = node.result.shape.rows
    let epilogue = ArenaEpilogue(
      plan, node, bias: try op.bias.map(weights.vector), form: op.epilogue)
    let x = node.operands[0]
    switch try weights.matrix(op.weight) {
    case .float32(let w):
      var arguments = banana_linear_f32()
      arguments.w = w
      arguments.n = Int32(n)
      arguments.rows = contiguousRows(stride: k, length: k)
      append(
        ProductStep(
          "linear", arguments, Tiling(rows: rows, outputs: n, inputs: k), epilogue, kernels
        ) { [x = offset(x)] in $0.a = UnsafePointer($1.floats(x)) })
    case .int8(let w, let scales, let initial):
      let stride = BlockLayout.quads(of: k) * BlockLayout.inputs
      quantizeRows(x, k: k, stride: stride, xor: kernels.pointee.activation_offset)
      var arguments = banana_linear_int8()
      arguments.w = w
      arguments.w_scale = scales
      arguments.initial = initial
      arguments.n = Int32(n)
      arguments.row_scale_rows = 1
      arguments.rows = contiguousRows(stride: stride, length: stride)
      append(
        ProductStep(
          "linear", arguments, Tiling(rows: rows, outputs: n, inputs: k), epilogue, kernels))
    case .int4(let w, let group):
      let groups = (k + group - 1) / group
      quantizeRows(x, k: k, stride: groups * group, xor: 0, group: group)
      var arguments = banana_linear_int4()
      arguments.w = w
      arguments.n = Int32(n)
      arguments.group = Int32(group)
      arguments.groups = Int32(groups)
      arguments.row_stride = groups * group
      arguments.row_scale_rows = 1
      append(
        ProductStep(
          "linear", arguments, Tiling(rows: rows, outputs: n, inputs: k), epilogue, kernels))
    }
  }

  mutating func lower(_ op: Product, _ node: Node) {
    let (n, k) = (op.outputs, node.operands[0].shape.last)
    var arguments = banana_linear_f32()
    arguments.n = Int32(n)
    arguments.rows = contiguousRows(stride: k, length: k)
    append(
      ProductStep(
        "product", arguments, Tiling(rows: node.result.shape.rows, outputs: n, inputs: k),
        ArenaEpilogue(plan, node, bias: nil, form: Epilogue()), kernels
      ) { [x = offset(node.operands[0]), matrix = offset(node.operands[1])] in
        $0.a = UnsafePointer($1.floats(x))
        $0.w = UnsafePointer($1.floats(matrix))
      })
  }

  func contiguousRows(stride: Int, length: Int) -> banana_rows {
    var rows = banana_rows()
    rows.row_stride = stride
    rows.segments = 1
    rows.segment_length = Int32(length)
    return rows
  }

  /// Quantizes a linear's input into scratch, unless it lies there already.
  private mutating func quantizeRows(
    _ x: Value, k: Int, stride: Int, xor: UInt8, group: Int? = nil
  ) {
    let rows = x.shape.rows
    needs.operand(
      bytes: rows * stride, scales: rows, sums: group.map { rows * (stride / $0) } ?? 0)
    let wanted = QuantizedRows(value: x, xor: xor, stride: stride, group: group)
    if quantized == wanted { return }
    append(
      QuantizeRowsStep(
        rows: rows, k: k, stride: stride, xor: xor, group: group, source: offset(x), kernels))
    quantized = wanted
  }
}
