package import Graph

/// Where a value lies while a network runs.
package struct Place: Hashable, Sendable {
  package enum Region: Hashable, Sendable {
    /// What a session keeps for its life.
    case inputs
    /// The arena, which all networks of an engine share.
    case arena
  }

  package let region: Region
  /// Bytes from the region's start, a multiple of `Planner.alignment`.
  package let offset: Int
  package let byteCount: Int

  package init(_ region: Region, offset: Int, byteCount: Int) {
    self.region = region
    self.offset = offset
    self.byteCount = byteCount
  }

  package var end: Int { offset + byteCount }

  /// The part of the place that is `bytes` behind its start.
  package static func + (place: Place, bytes: Int) -> Place {
    Place(place.region, offset: place.offset + bytes, byteCount: place.byteCount - bytes)
  }
}

/// A graph with a place in memory for each of its values: what a backend compiles.
package struct Plan: Hashable, Sendable {
  package let graph: Graph
  /// Where each value lies; a `reshape` shares its operand's place.
  package let places: [Value: Place]
  /// What the threads that run a node share meanwhile, by the node's result.
  package let sharedPlaces: [Value: Place]
  /// The size of what holds the inputs, which keep their values over runs.
  package let inputBytes: Int
  /// The size of what holds everything else, outputs included, while the network runs.
  package let arenaBytes: Int

  package func sharedPlace(of node: Node) -> Place {
    guard let place = sharedPlaces[node.result] else {
      preconditionFailure("\(graph.name): nothing is shared for %\(node.result.id)")
    }
    return place
  }

  package subscript(value: Value) -> Place {
    guard let place = places[value] else {
      preconditionFailure("\(graph.name): %\(value.id) has no place")
    }
    return place
  }
}
