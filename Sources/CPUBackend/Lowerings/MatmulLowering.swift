import CKernels
import Graph
import TensorTypes

extension Lowering {
  mutating func lower(_ op: Matmul, _ node: Node) {
    let (n, k) = (op.outputs, node.operands[0].shape.last)
    var arguments = banana_linear_f32()
    arguments.n = Int32(n)
    arguments.rows = contiguousRows(stride: k, length: k)
    append(
      MatrixProductStep(
        op.name, arguments,
        Tiling(rows: node.result.shape.rows, outputs: n, inputs: k, grain),
        PlacedEpilogue(plan, node), kernels
      ) { [x = place(node.operands[0]), matrix = place(node.operands[1])] in
        $0.a = UnsafePointer($1.floats(x))
        $0.w = UnsafePointer($1.floats(matrix))
      })
  }
}
