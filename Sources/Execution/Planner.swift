package import Graph

/// Gives every value of a graph a place in one arena, so that peak memory is known before
/// anything runs.
///
/// Inputs keep their places for the whole run, so that a session can run again with some of them
/// unchanged, and outputs from where they are computed to the end. All other values share memory
/// when their lives do not overlap: largest first, each at the lowest offset where it fits (greedy
/// by size; Pisarchyk and Lee 2020, "Efficient Memory Management for Deep Neural Net Inference").
package enum Planner {
  /// Every place starts at a multiple of it: a cache line.
  package static let alignment = 64

  package static func plan(_ graph: Graph) -> Plan {
    let roots = reshapeRoots(graph)
    let lives = lifetimes(graph, roots)
    let order = lives.sorted {
      ($0.byteCount, $1.value.id) > ($1.byteCount, $0.value.id)
    }
    var placed: [(life: Lifetime, range: ArenaRange)] = []
    var places: [Value: ArenaRange] = [:]
    var arenaBytes = 0
    for life in order {
      let neighbours = placed.filter { $0.life.overlaps(life) }.map(\.range)
      let range = ArenaRange(
        offset: lowestGap(neighbours.sorted { $0.offset < $1.offset }, life.byteCount),
        byteCount: life.byteCount)
      placed.append((life, range))
      places[life.value] = range
      arenaBytes = max(arenaBytes, range.end)
    }
    for (value, root) in roots { places[value] = places[root] }
    return Plan(graph: graph, places: places, arenaBytes: arenaBytes)
  }

  /// The first and last node at which a value must be in memory.
  private struct Lifetime {
    let value: Value
    let first: Int
    var last: Int

    var byteCount: Int { (value.byteCount + alignment - 1) / alignment * alignment }

    func overlaps(_ other: Lifetime) -> Bool { first <= other.last && other.first <= last }
  }

  /// What each reshaped value is another name for.
  private static func reshapeRoots(_ graph: Graph) -> [Value: Value] {
    var roots: [Value: Value] = [:]
    for node in graph.nodes {
      if case .reshape = node.op {
        roots[node.result] = roots[node.operands[0]] ?? node.operands[0]
      }
    }
    return roots
  }

  private static func lifetimes(_ graph: Graph, _ roots: [Value: Value]) -> [Lifetime] {
    var lives: [Value: Lifetime] = [:]
    let end = graph.nodes.count
    for input in graph.inputs {
      lives[input.value] = Lifetime(value: input.value, first: -1, last: end)
    }
    for (index, node) in graph.nodes.enumerated() {
      for operand in node.operands { lives[roots[operand] ?? operand]?.last.extend(to: index) }
      if roots[node.result] == nil {
        lives[node.result] = Lifetime(value: node.result, first: index, last: index)
      }
    }
    for output in graph.outputs { lives[roots[output.value] ?? output.value]?.last = end }
    return Array(lives.values)
  }

  private static func lowestGap(_ neighbours: [ArenaRange], _ byteCount: Int) -> Int {
    var offset = 0
    for range in neighbours {
      if range.offset >= offset + byteCount { break }
      offset = max(offset, range.end)
    }
    return offset
  }
}

extension Int {
  fileprivate mutating func extend(to other: Int) { self = Swift.max(self, other) }
}
