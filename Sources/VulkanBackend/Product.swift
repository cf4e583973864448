import Execution
import Graph
import TensorTypes

/// What a workgroup of a matrix product makes: 32 rows of 32 outputs.
enum ProductTile {
  private static let size = 32

  static func count(rows: Int, outputs: Int) -> Int {
    ((rows + size - 1) / size) * ((outputs + size - 1) / size)
  }
}

/// A product with a stored matrix, and its epilogue: what linears and convolutions have in common.
struct Product {
  let name: String
  let weight: WeightReference
  let bias: WeightReference?
  let epilogue: Epilogue
  /// Rows that share a scale of the quantized input.
  let scaleRows: Int
  /// What its shader is told beside what all products are.
  var arguments: [UInt32] = []

  fileprivate var inputs: Int { weight.shape.count / weight.shape[0] }

  /// What the shader counts along the inputs: quads of bytes, those of int4 in whole groups.
  fileprivate func depth(isInteger: Bool, group: Int) -> Int {
    guard isInteger else { return inputs }
    if group == 0 { return BlockLayout.quads(of: inputs) }
    return (inputs + group - 1) / group * group / BlockLayout.inputs
  }
}

extension Lowering {
  /// A dispatch for each part of the weight.
  mutating func lower(
    _ product: Product, _ node: Node, float: ShaderCode, int8: ShaderCode, int8Dot: ShaderCode
  ) throws(ExecutionError) {
    let matrix = try weights.matrix(product.weight)
    let (x, shape) = (node.operands[0], node.result.shape)
    var (shader, scales) = (float, 0)
    if case .int8(let quantize) = x.elementType {
      shader = form.usesIntegerDot ? int8Dot : int8
      scales = quantize.layout(of: x.shape).scales / 4
    }
    let depth = product.depth(isInteger: shader != float, group: matrix.group)
    let (flags, rank, behind) = try epilogue(product, node)
    for part in matrix.parts {
      let arguments =
        [
          shape.rows, part.rows.count, depth, Int(flags),
          Int(product.epilogue.activation.code), rank, shape.rows / max(1, shape[0]),
          part.rows.lowerBound, shape.last, matrix.group, part.scales / 4, scales,
          product.scaleRows,
        ].map { UInt32($0) } + product.arguments
      append(
        Step(
          product.name, shader, constants: [matrix.format],
          [read(x), matrix.operand(part)] + behind + [write(node.result)], arguments,
          groups: ProductTile.count(rows: shape.rows, outputs: part.rows.count)))
    }
  }

  /// What the epilogue has, and its operands: bias, gate, residual and both factors of an update.
  private func epilogue(
    _ product: Product, _ node: Node
  ) throws(ExecutionError) -> (flags: UInt32, rank: Int, operands: [Operand]) {
    let (form, shape) = (product.epilogue, node.result.shape)
    var flags: UInt32 = product.bias == nil ? 0 : 1
    if form.hasResidual { flags |= 2 }
    if form.hasUpdate { flags |= 4 }
    var gate = Operand.absent
    if form.hasGate {
      let value = node.operands[form.gateIndex]
      gate = read(value)
      flags |= value.shape == shape ? 8 : value.shape.rank == 1 ? 16 : 32
    }
    return (
      flags, form.hasUpdate ? node.operands[1].shape.last : 0,
      [
        try vector(product.bias), gate,
        form.hasResidual ? read(node.operands[node.operands.count - 1]) : .absent,
        form.hasUpdate ? read(node.operands[1]) : .absent,
        form.hasUpdate ? read(node.operands[2]) : .absent,
      ]
    )
  }
}
