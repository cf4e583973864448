import Graph
import TensorTypes
import Testing

@testable import Execution

@Suite struct PlannerTests {
  /// A chain of activations with a value kept alive across it.
  private func chain(length: Int) -> Graph {
    let builder = GraphBuilder("chain")
    let x = builder.input("x", [1, 4, 16])
    var y = x
    for _ in 0..<length { y = builder.silu(y) }
    builder.output("y", builder.add(x, y))
    return builder.build()
  }

  @Test func memoryOfAChainDoesNotGrowWithItsLength() {
    let short = Planner.plan(chain(length: 3))
    let long = Planner.plan(chain(length: 50))
    #expect(long.arenaBytes == short.arenaBytes)
    // Each value of the chain takes the place of the one before.
    #expect(long.arenaBytes == 4 * 4 * 16)
    #expect(long.inputBytes == 4 * 4 * 16)
    #expect(Planner.plan(chain(length: 50), replaces: false).arenaBytes == 2 * 4 * 4 * 16)
  }

  @Test(arguments: 0..<20) func valuesThatLiveTogetherNeverOverlap(seed: Int) {
    let graph = RandomGraph.make(seed: UInt64(seed))
    let plan = Planner.plan(graph)
    var lastUse: [Value: Int] = [:]
    for input in graph.inputs {
      lastUse[input.value] = graph.nodes.count
      #expect(plan[input.value].region == .inputs)
      #expect(plan[input.value].end <= plan.inputBytes)
    }
    for (index, node) in graph.nodes.enumerated() {
      for operand in node.operands { lastUse[operand] = max(lastUse[operand] ?? 0, index) }
    }
    for output in graph.outputs { lastUse[output.value] = graph.nodes.count }
    for (index, node) in graph.nodes.enumerated() {
      #expect(plan[node.result].offset % Planner.alignment == 0)
      if case .reshape = node.op { continue }
      #expect(plan[node.result].region == .arena)
      #expect(plan[node.result].end <= plan.arenaBytes)
      let earlier = graph.inputs.map(\.value) + graph.nodes[..<index].map(\.result)
      for value in earlier where (lastUse[value] ?? -1) >= index {
        let (a, b) = (plan[value], plan[node.result])
        if a == b, lastUse[value] == index, node.mayReplace(value) { continue }
        #expect(
          a.region != b.region || a.end <= b.offset || b.end <= a.offset,
          "%\(value.id) and %\(node.result.id)")
      }
    }
  }

  /// What threads share lies beside everything that the node reads and writes.
  @Test(arguments: 0..<20) func whatIsSharedOverlapsNothingMeanwhile(seed: Int) {
    let graph = RandomGraph.make(seed: UInt64(seed))
    let plan = Planner.plan(graph) { $0.operands.count * 100 }
    for node in graph.nodes {
      let shared = plan.sharedPlace(of: node)
      #expect(shared.offset % Planner.alignment == 0)
      #expect(shared.byteCount >= node.operands.count * 100)
      #expect(shared.end <= plan.arenaBytes)
      for place in (node.operands + [node.result]).map({ plan[$0] }) {
        #expect(
          place.region != shared.region || place.end <= shared.offset
            || shared.end <= place.offset)
      }
    }
    #expect(Planner.plan(graph).sharedPlaces.isEmpty)
  }

  /// What is read again, or by another part of the op, keeps its place.
  @Test func onlyWhatNothingElseNeedsIsReplaced() {
    let g = GraphBuilder("g")
    let x = g.silu(g.input("x", [1, 4, 16]))
    let y = g.gelu(x)  // x is still needed
    let sum = g.add(y, x)  // takes the place of either
    let row = g.silu(g.input("row", [16]))
    let shifted = g.add(sum, row)  // takes the place of sum, never of row
    let weight = WeightReference("w", [16, 16])
    let squared = g.append(
      .linear(Linear(weight: weight, epilogue: Epilogue(hasResidual: true))), [shifted, shifted])
    let residual = g.append(
      .linear(Linear(weight: weight, epilogue: Epilogue(hasResidual: true))),
      [g.silu(squared), squared])
    g.output("z", residual)
    let plan = Planner.plan(g.build())
    #expect(plan[y] != plan[x])
    #expect(plan[sum] == plan[x] || plan[sum] == plan[y])
    #expect(plan[shifted] == plan[sum] && plan[shifted] != plan[row])
    #expect(plan[squared] != plan[shifted])
    #expect(plan[residual] == plan[squared])
  }

  @Test func aReshapeSharesItsOperandsPlace() {
    let builder = GraphBuilder("g")
    let x = builder.input("x", [1, 4, 16])
    let y = builder.silu(x)
    builder.output("z", builder.reshape(y, [1, 2, 2, 16]))
    let plan = Planner.plan(builder.build())
    #expect(plan[plan.graph.nodes[0].result] == plan[plan.graph.outputs[0].value])
  }
}

extension Node {
  /// Whether nothing but what may be written over is read from a value's place.
  fileprivate func mayReplace(_ value: Value) -> Bool {
    let replaceable = op.payload.replaceableOperands(operands, result: result.shape)
    return operands.indices.allSatisfy { operands[$0] != value || replaceable.contains($0) }
  }
}

/// Small random graphs without weights, the same for the same seed.
enum RandomGraph {
  static func make(seed: UInt64) -> Graph {
    var random = SplitMix64(state: seed)
    let builder = GraphBuilder("random")
    var values = [builder.input("a", [1, 4, 8]), builder.input("b", [1, 4, 8])]
    for _ in 0..<30 {
      let x = values[Int(random.next() % UInt64(values.count))]
      switch random.next() % 4 {
      case 0: values.append(builder.silu(x))
      case 1:
        let others = values.filter { $0.shape == x.shape }
        values.append(builder.add(x, others[Int(random.next() % UInt64(others.count))]))
      case 2: values.append(builder.reshape(x, [1, x.shape.count / 8, 8]))
      default: if x.shape.last > 1 { values.append(builder.slice(x, 0..<x.shape.last / 2)) }
      }
    }
    builder.output("last", values[values.count - 1])
    return builder.build()
  }
}

struct SplitMix64 {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
