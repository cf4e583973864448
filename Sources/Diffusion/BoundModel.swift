package import Execution
package import Models
package import TensorTypes
package import Weights

/// A model's networks on a backend: compiles them when they are first needed.
package final class BoundModel {
  package let plans: NetworkPlans
  private let stores: [String: WeightStore]
  private let backend: any Backend
  private let activations: ActivationFormat
  private var weights: [String: any BoundWeights] = [:]
  private let arena: any Arena
  private let cache: SessionCache<NetworkKey>
  /// How often a network was compiled.
  package private(set) var compilationCount = 0

  /// - Parameters:
  ///   - stores: The weights by the names that the family has for them.
  ///   - sessionBytes: How much memory sessions may hold together: the least used go first.
  package init(
    family: any ModelFamily, stores: [String: WeightStore], backend: any Backend,
    activations: ActivationFormat, sessionBytes: Int = .max
  ) {
    plans = NetworkPlans(
      family: family, stores: stores, backend: backend, activations: activations)
    self.stores = stores
    self.backend = backend
    self.activations = activations
    arena = backend.makeArena()
    cache = SessionCache(capacityBytes: sessionBytes)
  }

  package var family: any ModelFamily { plans.family }

  package var residency: Residency {
    var residency = Residency()
    residency.networks = cache.keys
    residency.sessionBytes = cache.residentBytes
    residency.arenaBytes = arena.byteCount
    residency.weightBytes = weights.mapValues(\.residentBytes)
    return residency
  }

  /// A session of the network for these extents, of which those count that it depends on.
  ///
  /// Peels are written into the session's inputs unless they are there already, so that another
  /// mix of the same layout is a matter of a few megabytes and compiles nothing.
  package func session(
    _ network: NetworkName, _ extents: Extents, peels: PeelMix? = nil
  ) throws(ExecutionError) -> Session {
    let key = plans.key(network, extents, peels: peels?.layout)
    let session = try cache.session(for: key) { () throws(ExecutionError) in
      compilationCount += 1
      return try Session(
        boundWeights(plans.weights(of: network)).compile(plans.plan(key), in: arena))
    }
    if let peels, let layout = key.peels, session.mark != AnyHashable(peels.parts) {
      peels.write(to: session, layout)
      session.mark = peels.parts
    }
    return session
  }

  /// Gives back the sessions that were not used since `mark()`, and the arena until the next run.
  package func releaseUnused() {
    cache.removeUnused()
    arena.release()
  }

  /// From here on, sessions count as used.
  package func mark() { cache.mark() }

  /// Gives back everything beside the mapped files.
  package func releaseAll() {
    cache.removeAll()
    arena.release()
    weights.removeAll()
  }

  private func boundWeights(_ name: String) -> any BoundWeights {
    if let bound = weights[name] { return bound }
    guard let store = stores[name] else { preconditionFailure("no weights \(name)") }
    let bound = backend.bind(store, activations: activations)
    weights[name] = bound
    return bound
  }
}
