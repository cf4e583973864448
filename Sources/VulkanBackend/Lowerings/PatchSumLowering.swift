import Execution
import Graph
import TensorTypes

extension Lowering {
  mutating func lower(_ op: PatchSum, _ node: Node) {
    let (source, shape, walk) = (node.operands[0].shape, node.result.shape, op.convolution)
    let arguments = [
      shape[3], shape[1], shape[2], source[1], source[2], walk.kernelHeight, walk.kernelWidth,
      walk.stride, walk.upsampling, walk.paddingTop, walk.paddingLeft,
    ]
    append(
      op.name, .patchSum, [read(node.operands[0]), write(node.result)], count: shape.count,
      arguments.map { UInt32($0) })
  }
}
