package import Graph

/// Gives every value of a graph a place, so that peak memory is known before anything runs.
///
/// Inputs have places of their own for a session's life, so that it can run again with some of them
/// unchanged, whatever has run in between. All other values share an arena when their lives do not
/// overlap, outputs from where they are computed to the end: largest first, each at the lowest
/// offset where it fits (greedy by size; Pisarchyk and Lee 2020, "Efficient Memory Management for
/// Deep Neural Net Inference"). A result takes the place of an operand that nothing needs any more
/// where the op allows it.
package enum Planner {
  /// Every place starts at a multiple of it: a cache line.
  package static let alignment = 64

  /// - Parameter replaces: Whether results take their operands' places.
  package static func plan(_ graph: Graph, replaces: Bool = true) -> Plan {
    var places: [Value: Place] = [:]
    var inputBytes = 0
    for input in graph.inputs {
      let place = Place(.inputs, offset: inputBytes, byteCount: input.value.placeBytes)
      places[input.value] = place
      inputBytes = place.end
    }
    var lives = Lifetimes(graph)
    if replaces { lives.replaceOperands(in: graph) }
    let order = lives.all.sorted { ($0.byteCount, $1.value.id) > ($1.byteCount, $0.value.id) }
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
    for value in lives.owners.keys { places[value] = places[lives.owner(of: value)] }
    return Plan(graph: graph, places: places, inputBytes: inputBytes, arenaBytes: arenaBytes)
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

extension Value {
  /// The size of its place.
  fileprivate var placeBytes: Int {
    (byteCount + Planner.alignment - 1) / Planner.alignment * Planner.alignment
  }
}

/// The first and last node at which a value must be in memory.
private struct Lifetime {
  let value: Value
  let first: Int
  var last: Int

  var byteCount: Int { value.placeBytes }

  func overlaps(_ other: Lifetime) -> Bool { first <= other.last && other.first <= last }
}

/// The lifetimes of the values that have places of their own in an arena.
private struct Lifetimes {
  /// Whose place a value shares.
  private(set) var owners: [Value: Value] = [:]
  private var lives: [Value: Lifetime] = [:]

  var all: [Lifetime] { Array(lives.values) }

  /// A `reshape` shares its operand's place.
  init(_ graph: Graph) {
    for (index, node) in graph.nodes.enumerated() {
      for operand in node.operands { lives[owner(of: operand)]?.last = index }
      if case .reshape = node.op {
        owners[node.result] = owner(of: node.operands[0])
      } else {
        lives[node.result] = Lifetime(value: node.result, first: index, last: index)
      }
    }
    for output in graph.outputs { lives[owner(of: output.value)]?.last = graph.nodes.count }
  }

  func owner(of value: Value) -> Value {
    var owner = value
    while let next = owners[owner] { owner = next }
    return owner
  }

  /// Gives results the places of operands that end with the node and are as large.
  mutating func replaceOperands(in graph: Graph) {
    for (index, node) in graph.nodes.enumerated() {
      guard let result = lives[node.result] else { continue }
      let operands = node.operands.map(owner)
      let replaceable = node.op.payload.replaceableOperands(
        node.operands, result: node.result.shape)
      for operand in Set(replaceable.map { operands[$0] }).sorted(by: { $0.id < $1.id }) {
        let isReadOtherwise = operands.indices.contains {
          operands[$0] == operand && !replaceable.contains($0)
        }
        guard let life = lives[operand], life.last == index, !isReadOtherwise,
          life.byteCount == result.byteCount
        else { continue }
        lives[operand]?.last = result.last
        lives[node.result] = nil
        owners[node.result] = operand
        break
      }
    }
  }
}
