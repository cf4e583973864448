package import Graph

/// A stretch of an executable's arena.
package struct ArenaRange: Hashable, Sendable {
  /// Bytes from the arena's start, a multiple of `Planner.alignment`.
  package let offset: Int
  package let byteCount: Int

  package init(offset: Int, byteCount: Int) {
    self.offset = offset
    self.byteCount = byteCount
  }

  package var end: Int { offset + byteCount }
}

/// A graph with a place in memory for each of its values: what a backend compiles.
package struct Plan: Hashable, Sendable {
  package let graph: Graph
  /// Where each value lies; a `reshape` shares its operand's place.
  package let places: [Value: ArenaRange]
  /// The size of the arena that holds inputs, outputs and everything in between.
  package let arenaBytes: Int

  package subscript(value: Value) -> ArenaRange {
    guard let place = places[value] else {
      preconditionFailure("\(graph.name): %\(value.id) has no place")
    }
    return place
  }
}
