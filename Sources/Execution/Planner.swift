package import Graph

/// Gives every value of a graph a place, so that peak memory is known before anything runs.
///
/// Inputs have places of their own for a session's life, so that it can run again with some of them
/// unchanged, whatever has run in between. All other values share an arena when their lives do not
/// overlap, outputs from where they are computed to the end: largest first, each at the lowest
/// offset where it fits (greedy by size; Pisarchyk and Lee 2020, "Efficient Memory Management for
/// Deep Neural Net Inference").
package enum Planner {
  /// Every place starts at a multiple of it: a cache line.
  package static let alignment = 64

  package static func plan(_ graph: Graph) -> Plan {
    var places: [Value: Place] = [:]
    var inputBytes = 0
    for input in graph.inputs {
      let place = Place(.inputs, offset: inputBytes, byteCount: aligned(input.value.byteCount))
      places[input.value] = place
      inputBytes = place.end
    }
    let roots = reshapeRoots(graph)
    let order = lifetimes(graph, roots).sorted {
      ($0.byteCount, $1.value.id) > ($1.byteCount, $0.value.id)
    }
    var placed: [(life: Lifetime, place: Place)] = []
    var arenaBytes = 0
    for life in order {
      let neighbours = placed.filter { $0.life.overlaps(life) }.map(\.place)
      let place = Place(
        .arena, offset: lowestGap(neighbours.sorted { $0.offset < $1.offset }, life.byteCount),
        byteCount: life.byteCount)
      placed.append((life, place))
      places[life.value] = place
      arenaBytes = max(arenaBytes, place.end)
    }
    for (value, root) in roots { places[value] = places[root] }
    return Plan(graph: graph, places: places, inputBytes: inputBytes, arenaBytes: arenaBytes)
  }

  private static func aligned(_ bytes: Int) -> Int {
    (bytes + alignment - 1) / alignment * alignment
  }

  /// The first and last node at which a value must be in memory.
  private struct Lifetime {
    let value: Value
    let first: Int
    var last: Int

    var byteCount: Int { aligned(value.byteCount) }

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
    for (index, node) in graph.nodes.enumerated() {
      for operand in node.operands { lives[roots[operand] ?? operand]?.last = index }
      if roots[node.result] == nil {
        lives[node.result] = Lifetime(value: node.result, first: index, last: index)
      }
    }
    let end = graph.nodes.count
    for output in graph.outputs { lives[roots[output.value] ?? output.value]?.last = end }
    return Array(lives.values)
  }

  private static func lowestGap(_ neighbours: [Place], _ byteCount: Int) -> Int {
    var offset = 0
    for place in neighbours {
      if place.offset >= offset + byteCount { break }
      offset = max(offset, place.end)
    }
    return offset
  }
}
