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

  /// - Parameters:
  ///   - replaces: Whether results take their operands' places.
  ///   - sharedBytes: What a backend's threads share while a node runs, beside its values.
  package static func plan(
    _ graph: Graph, replaces: Bool = true, sharedBytes: (Node) -> Int = { _ in 0 }
  ) -> Plan {
    var places: [Value: Place] = [:]
    var inputBytes = 0
    for input in graph.inputs {
      let place = Place(.inputs, offset: inputBytes, byteCount: input.value.placeBytes)
      places[input.value] = place
      inputBytes = place.end
    }
    var lives = Lifetimes(graph)
    if replaces { lives.replaceOperands(in: graph) }
    let shared = Self.shared(in: graph, sharedBytes)
    let order = (Array(lives.lives.values) + shared.values).sorted {
      ($0.byteCount, $1.id) > ($1.byteCount, $0.id)
    }
    var placed: [(life: Lifetime, place: Place)] = []
    var placesOfLives: [Int: Place] = [:]
    var arenaBytes = 0
    for life in order {
      let neighbours = placed.filter { $0.life.overlaps(life) }.map(\.place)
      let place = Place(
        .arena, offset: lowestGap(neighbours.sorted { $0.offset < $1.offset }, life.byteCount),
        byteCount: life.byteCount)
      placed.append((life, place))
      placesOfLives[life.id] = place
      arenaBytes = max(arenaBytes, place.end)
    }
    for (value, life) in lives.lives { places[value] = placesOfLives[life.id] }
    for value in lives.owners.keys { places[value] = places[lives.owner(of: value)] }
    return Plan(
      graph: graph, places: places,
      sharedPlaces: shared.compactMapValues { placesOfLives[$0.id] }, inputBytes: inputBytes,
      arenaBytes: arenaBytes)
  }

  /// What lives only while a node runs, by the node's result.
  private static func shared(
    in graph: Graph, _ sharedBytes: (Node) -> Int
  ) -> [Value: Lifetime] {
    var shared: [Value: Lifetime] = [:]
    for (index, node) in graph.nodes.enumerated() {
      let byteCount = sharedBytes(node)
      guard byteCount > 0 else { continue }
      shared[node.result] = Lifetime(
        id: -1 - index, byteCount: aligned(byteCount), first: index, last: index)
    }
    return shared
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

extension Planner {
  fileprivate static func aligned(_ byteCount: Int) -> Int {
    (byteCount + alignment - 1) / alignment * alignment
  }
}

extension Value {
  /// The size of its place.
  fileprivate var placeBytes: Int { Planner.aligned(byteCount) }
}

/// The first and last node at which a value, or what a node's threads share, must be in memory.
private struct Lifetime {
  /// The value's; below 0 for what is shared.
  let id: Int
  let byteCount: Int
  let first: Int
  var last: Int

  func overlaps(_ other: Lifetime) -> Bool { first <= other.last && other.first <= last }
}

/// The lifetimes of the values that have places of their own in an arena.
private struct Lifetimes {
  /// Whose place a value shares.
  private(set) var owners: [Value: Value] = [:]
  private(set) var lives: [Value: Lifetime] = [:]

  /// A `reshape` shares its operand's place.
  init(_ graph: Graph) {
    for (index, node) in graph.nodes.enumerated() {
      for operand in node.operands { lives[owner(of: operand)]?.last = index }
      if case .reshape = node.op {
        owners[node.result] = owner(of: node.operands[0])
      } else {
        lives[node.result] = Lifetime(
          id: node.result.id, byteCount: node.result.placeBytes, first: index, last: index)
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
