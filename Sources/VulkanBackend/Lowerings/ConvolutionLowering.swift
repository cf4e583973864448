import Execution
import Graph
import TensorTypes

extension Convolution {
  /// How the shader wants the input for weights in a format; nil for f32. It finds patches in the
  /// picture as it is.
  func quantization(for format: StorageFormat?) -> Quantize? {
    switch format {
    case .int8, .int4: Quantize(scaling: .item)
    case .float32, .float16, .bfloat16, .int8Rows, .int4Rows, nil: nil
    }
  }
}

extension Lowering {
  mutating func lower(_ op: Convolution, _ node: Node) throws(ExecutionError) {
    let (source, shape) = (node.operands[0].shape, node.result.shape)
    // Two numbers share a word.
    guard (source.dimensions[1...] + shape.dimensions[1...]).allSatisfy({ $0 < 1 << 16 }) else {
      throw .unsupported(op: op.name, reason: "\(source) has sides of 65,536 and more")
    }
    func pair(_ high: Int, _ low: Int) -> UInt32 { UInt32(high << 16 | low) }
    let product = Product(
      name: op.name, weight: op.weight, bias: op.bias, epilogue: op.epilogue,
      scaleRows: shape[1] * shape[2],
      arguments: [
        pair(source[1], source[2]), UInt32(source[3]), pair(shape[1], shape[2]),
        pair(op.kernelHeight, op.kernelWidth), pair(op.stride, op.upsampling),
        pair(op.paddingTop, op.paddingLeft), UInt32(op.weight.shape.count / op.weight.shape[0]),
      ])
    try lower(
      product, node, float: .convolution, int8: .convolutionInt8, int8Dot: .convolutionInt8Dot)
  }
}
