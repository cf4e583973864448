import TensorTypes
import Testing

@testable import Graph

@Suite struct GraphTests {
  @Test func dumpNamesEveryNode() {
    let builder = GraphBuilder("tiny")
    let x = builder.input("x", [1, 2, 4])
    builder.output("y", builder.linear(x, WeightReference("w", [8, 4])))
    #expect(
      builder.build().dump() == """
        graph tiny
          %0 = input "x" : [1, 2, 4]
          %1 = linear(%0) w : [1, 2, 8]
          output "y" = %1

        """)
  }

  @Test func operandsOfWrongShapeAreRefused() {
    let x = Value(id: 0, shape: [1, 2, 5], elementType: .float32)
    let op = Op.linear(Linear(weight: WeightReference("w", [8, 4])))
    #expect(throws: ShapeError.self) { try op.payload.resultShape([x]) }
  }

  @Test func verifyFindsAValueReadBeforeItIsComputed() {
    let a = Value(id: 0, shape: [2, 2], elementType: .float32)
    let b = Value(id: 1, shape: [2, 2], elementType: .float32)
    let node = Node(op: .activation(.silu), operands: [b], result: a)
    let graph = Graph(
      name: "g", inputs: [], nodes: [node], outputs: [NamedValue(name: "a", value: a)])
    #expect(throws: GraphError.undefinedValue(node: 0, value: 1)) { try graph.verify() }
  }

  @Test func deadNodesGo() {
    let builder = GraphBuilder("g")
    let x = builder.input("x", [1, 2, 4])
    _ = builder.silu(x)
    builder.output("y", builder.gelu(x))
    #expect(builder.build().removingDeadNodes().nodes.map(\.op.payload.name) == ["activation.gelu"])
  }

  @Test func epiloguesFuseIntoTheLinearBeforeThem() throws {
    let builder = GraphBuilder("g")
    let x = builder.input("x", [1, 2, 4])
    let gate = builder.silu(builder.linear(x, WeightReference("gate", [8, 4])))
    let up = builder.linear(x, WeightReference("up", [8, 4]))
    let down = builder.linear(builder.multiply(gate, up), WeightReference("down", [4, 8]))
    builder.output("y", builder.add(x, down))
    let fused = builder.build().fusingEpilogues()
    try fused.verify()
    #expect(fused.nodes.map { $0.op.payload.weights[0].name } == ["up", "gate", "down"])
    guard case .linear(let op) = fused.nodes[1].op, case .linear(let last) = fused.nodes[2].op
    else {
      Issue.record("not linears")
      return
    }
    #expect(op.epilogue == Epilogue(activation: .silu, hasGate: true))
    #expect(last.epilogue == Epilogue(hasResidual: true))
  }

  @Test func aValueThatTwoNodesReadIsNotFused() {
    let builder = GraphBuilder("g")
    let x = builder.input("x", [1, 2, 4])
    let y = builder.linear(x, WeightReference("w", [4, 4]))
    builder.output("sum", builder.add(builder.silu(y), y))
    #expect(builder.build().fusingEpilogues().nodes.count == 3)
  }

  @Test func operationsCountMultiplyAddsAsTwo() {
    let builder = GraphBuilder("g")
    let x = builder.input("x", [1, 2, 2, 3])
    builder.output("y", builder.convolution(x, WeightReference("w", [5, 3, 3, 3])))
    #expect(builder.build().operationCount == 2 * 4 * 5 * 27)
  }
}
