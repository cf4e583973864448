import Execution
import Graph
import TensorTypes

extension Linear {
  /// How the shader wants the input for weights in a format; nil for f32.
  func quantization(for format: StorageFormat?) -> Quantize? {
    switch format {
    case .int8: Quantize(scaling: .row)
    case .int4(let group): Quantize(scaling: .row, group: group)
    case .float32, .float16, .bfloat16, .int8Rows, .int4Rows, nil: nil
    }
  }
}

extension Lowering {
  mutating func lower(_ op: Linear, _ node: Node) throws(ExecutionError) {
    let product = Product(
      name: op.name, weight: op.weight, bias: op.bias, epilogue: op.epilogue, scaleRows: 1)
    try lower(product, node, float: .linear, int8: .linearInt8, int8Dot: .linearInt8Dot)
  }
}
