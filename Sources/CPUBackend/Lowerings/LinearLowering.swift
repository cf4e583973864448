import CKernels
import Execution
import Graph
import TensorTypes

extension Linear {
  /// How the kernels want the input for weights in a format; nil for f32.
  func quantization(
    for format: StorageFormat?, smoothing: WeightReference? = nil, zeroPoint: Int = 0
  ) -> Quantize? {
    switch format {
    case .int8: Quantize(scaling: .row, smoothing: smoothing, zeroPoint: zeroPoint)
    case .int4(let group): Quantize(scaling: .row, smoothing: smoothing, group: group)
    case .float32, .float16, .bfloat16, .int8Rows, .int4Rows, nil: nil
    }
  }
}

extension Lowering {
  mutating func lower(_ op: Linear, _ node: Node) throws(ExecutionError) {
    let (n, k) = (op.weight.shape[0], op.weight.shape[1])
    let epilogue = PlacedEpilogue(
      plan, node, bias: try op.bias.map(weights.vector), form: op.epilogue)
    let tiling = Tiling(rows: node.result.shape.rows, outputs: n, inputs: k, grain)
    let x = node.operands[0]
    let source = place(x)
    guard case .int8(let quantize) = x.elementType else {
      var arguments = banana_linear_f32()
      arguments.w = try weights.floats(op.weight)
      arguments.n = Int32(n)
      arguments.rows = contiguousRows(stride: k, length: k)
      return append(
        MatrixProductStep(op.name, arguments, tiling, epilogue, kernels) {
          $0.a = UnsafePointer($1.floats(source))
        })
    }
    let layout = quantize.layout(of: x.shape)
    switch try weights.integers(op.weight, for: quantize) {
    case .int8(let w, let scales, let initial):
      var arguments = banana_linear_int8()
      arguments.w = w
      arguments.w_scale = scales
      arguments.initial = initial
      arguments.n = Int32(n)
      arguments.row_scale_rows = 1
      arguments.rows = contiguousRows(stride: layout.rowBytes, length: layout.rowBytes)
      append(
        MatrixProductStep(op.name, arguments, tiling, epilogue, kernels) {
          $0.a = UnsafePointer($1.bytes(source))
          $0.row_scale = UnsafePointer($1.floats(source + layout.scales))
        })
    case .int4(let w, let group):
      var arguments = banana_linear_int4()
      arguments.w = w
      arguments.n = Int32(n)
      arguments.group = Int32(group)
      arguments.groups = Int32(layout.rowBytes / group)
      arguments.row_stride = layout.rowBytes
      arguments.row_scale_rows = 1
      append(
        MatrixProductStep(op.name, arguments, tiling, epilogue, kernels) {
          $0.a = UnsafeRawPointer($1.bytes(source)).assumingMemoryBound(to: Int8.self)
          $0.row_scale = UnsafePointer($1.floats(source + layout.scales))
          $0.group_sums = UnsafePointer($1.integers(source + layout.sums))
        })
    }
  }
}
