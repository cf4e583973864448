package import Execution
package import Graph
package import Models
import Synchronization
package import TensorTypes
package import Weights

/// A network of the model at certain extents.
package struct NetworkKey: Hashable, Sendable {
  package let network: NetworkName
  /// 0 for what the network does not depend on.
  package let extents: Extents
  /// What peels change in this network, nil if nothing.
  package let peels: PeelLayout?
}

/// What a model's networks hold beside the mapped files.
package struct Residency: Sendable {
  /// The networks that are ready to run.
  package var networks: Set<NetworkKey> = []
  package var sessionBytes = 0
  package var arenaBytes = 0
  /// What binding has taken, by the name of the weights.
  package var weightBytes: [String: Int] = [:]

  package init() {}

  /// All of it.
  package var byteCount: Int { sessionBytes + arenaBytes + weightBytes.values.reduce(0, +) }
}

/// The plans of a model's networks, made when they are first asked for: tells from any thread what
/// drawing would take, without compiling anything.
package final class NetworkPlans: Sendable {
  /// More would be plans of combinations of peels that nobody asks for again.
  private static let capacity = 64

  package let family: any ModelFamily
  package let facts: ModelFacts
  private let descriptions: [NetworkName: NetworkDescription]
  /// What each network that is open to peels reads.
  private let openWeights: [NetworkName: Set<WeightReference>]
  private let stores: [String: WeightStore]
  private let backend: any Backend
  private let activations: ActivationFormat
  private let plans = Mutex<[NetworkKey: Plan]>([:])
  private let weightBytes = Mutex<[Set<NetworkName>: Int]>([:])

  /// - Parameter stores: The weights by the names that the family has for them.
  package init(
    family: any ModelFamily, stores: [String: WeightStore], backend: any Backend,
    activations: ActivationFormat
  ) {
    self.family = family
    self.stores = stores
    self.backend = backend
    self.activations = activations
    facts = family.facts
    let networks = family.networks
    descriptions = Dictionary(uniqueKeysWithValues: networks.map { ($0.name, $0) })
    openWeights = Dictionary(
      uniqueKeysWithValues: networks.filter(\.isOpenToPeels).map {
        ($0.name, Set(family.graph(of: $0.name, family.facts.smallestExtents).weights))
      })
  }

  /// The key of a network at some extents, of which those count that it depends on.
  package func key(
    _ network: NetworkName, _ extents: Extents, peels: PeelLayout? = nil
  ) -> NetworkKey {
    let extents = extents.restricted(to: description(of: network).axes)
    let layout = peels.flatMap { peels in
      open(network, skippedLayers: extents.skippedLayers).flatMap {
        peels.restricted(to: $0, of: weights(of: network))
      }
    }
    return NetworkKey(network: network, extents: extents, peels: layout)
  }

  /// The weights that peels may change in a network; nil if it is closed to them.
  private func open(_ network: NetworkName, skippedLayers: Int) -> Set<WeightReference>? {
    if skippedLayers == 0 { return openWeights[network] }
    var extents = facts.smallestExtents
    extents.skippedLayers = skippedLayers
    return openWeights[network]?.intersection(family.graph(of: network, extents).weights)
  }

  /// The network as a graph, ready for planning.
  package func graph(_ key: NetworkKey) -> Graph {
    let live = family.graph(of: key.network, key.extents).removingDeadNodes()
    let attached = key.peels.map { live.attachingPeels(to: $0.attachments) } ?? live
    return attached.fusingEpilogues()
  }

  package func plan(_ key: NetworkKey) -> Plan {
    if let known = plans.withLock({ $0[key] }) { return known }
    let plan = backend.plan(
      graph(key), for: stores[weights(of: key.network)]!, activations: activations)
    plans.withLock {
      if $0.count >= Self.capacity { $0.removeAll() }
      $0[key] = plan
    }
    return plan
  }

  /// Bytes that running networks one after another takes beside what is held: their sessions and
  /// weights, and as much of the arena as the largest needs. Exact where all networks are named
  /// that share weights with those that are held.
  package func peakBytes(of networks: [NetworkKey], beside resident: Residency) -> Int {
    let sessions = networks.filter { !resident.networks.contains($0) }
      .reduce(0) { $0 + backend.sessionBytes(of: plan($1)) }
    let arena = networks.reduce(0) { max($0, backend.arenaBytes(of: plan($1))) }
    let weights = Dictionary(grouping: networks) { self.weights(of: $0.network) }.reduce(0) {
      $0 + max(0, weightBytes(of: $1.value) - resident.weightBytes[$1.key, default: 0])
    }
    return sessions + max(0, arena - resident.arenaBytes) + weights
  }

  /// What binding the weights of networks that share them takes.
  private func weightBytes(of networks: [NetworkKey]) -> Int {
    // Extents and peels change nothing of it.
    let names = Set(networks.map(\.network))
    if let known = weightBytes.withLock({ $0[names] }) { return known }
    let bytes = backend.boundBytes(
      of: networks.map { plan($0).graph }, in: stores[weights(of: networks[0].network)]!,
      activations: activations)
    weightBytes.withLock { $0[names] = bytes }
    return bytes
  }

  /// The name of the weights that a network reads.
  func weights(of network: NetworkName) -> String { description(of: network).weights }

  private func description(of network: NetworkName) -> NetworkDescription {
    guard let found = descriptions[network] else {
      preconditionFailure("the family has no network \(network)")
    }
    return found
  }
}
