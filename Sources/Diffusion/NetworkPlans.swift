package import Execution
package import Graph
package import Models
import Synchronization
package import TensorTypes
package import Weights

/// A network of the model at certain extents.
package struct NetworkKey: Hashable, Sendable {
  package enum Network: Hashable, Sendable { case textEncoder, context, denoiser, decoder, encoder }

  package let network: Network
  package let batch: Int
  /// 0 where there is no text.
  package let tokens: Int
  /// What peels change in this network, nil if nothing.
  package let peels: PeelLayout?
}

extension NetworkKey.Network {
  /// Where the network's weights are.
  var component: ModelComponent {
    switch self {
    case .textEncoder: .textEncoder
    case .context, .denoiser: .denoiser
    case .decoder: .decoder
    case .encoder: .encoder
    }
  }
}

/// What a model's networks hold beside the mapped files.
package struct Residency: Sendable {
  /// The networks that are ready to run.
  package var networks: Set<NetworkKey> = []
  package var sessionBytes = 0
  package var arenaBytes = 0
  /// What binding has taken.
  package var weightBytes: [ModelComponent: Int] = [:]

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
  private let stores: [ModelComponent: WeightStore]
  private let backend: any Backend
  private let activations: ActivationFormat
  private let contextWeights: Set<WeightReference>
  private let denoiserWeights: Set<WeightReference>
  private let plans = Mutex<[NetworkKey: Plan]>([:])
  private let weightBytes = Mutex<[Set<NetworkKey.Network>: Int]>([:])

  /// - Parameter stores: The weights of each component.
  package init(
    family: any ModelFamily, stores: [ModelComponent: WeightStore], backend: any Backend,
    activations: ActivationFormat
  ) {
    self.family = family
    self.stores = stores
    self.backend = backend
    self.activations = activations
    contextWeights = Set(family.context(batch: 1, tokens: 1).weights)
    denoiserWeights = Set(family.denoiser(batch: 1, tokens: 1).weights)
  }

  /// The key of a network; `tokens` is 0 where there is no text.
  package func key(
    _ network: NetworkKey.Network, batch: Int, tokens: Int = 0, peels: PeelLayout? = nil
  ) -> NetworkKey {
    let layout: PeelLayout?
    switch network {
    case .context: layout = peels?.restricted(to: contextWeights)
    case .denoiser: layout = peels?.restricted(to: denoiserWeights)
    case .textEncoder, .decoder, .encoder: layout = nil
    }
    return NetworkKey(network: network, batch: batch, tokens: tokens, peels: layout)
  }

  /// The network as a graph, ready for planning.
  package func graph(_ key: NetworkKey) -> Graph {
    let traced =
      switch key.network {
      case .textEncoder: family.textEncoder(batch: key.batch, tokens: key.tokens)
      case .context: family.context(batch: key.batch, tokens: key.tokens)
      case .denoiser: family.denoiser(batch: key.batch, tokens: key.tokens)
      case .decoder: family.decoder(batch: key.batch)
      case .encoder: family.encoder(batch: key.batch)
      }
    let live = traced.removingDeadNodes()
    let attached = key.peels.map { live.attachingPeels(to: $0.sites) } ?? live
    return attached.fusingEpilogues()
  }

  package func plan(_ key: NetworkKey) -> Plan {
    if let known = plans.withLock({ $0[key] }) { return known }
    let plan = backend.plan(
      graph(key), for: stores[key.network.component]!, activations: activations)
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
    let weights = Dictionary(grouping: networks, by: \.network.component).reduce(0) {
      $0 + max(0, weightBytes(of: $1.value) - resident.weightBytes[$1.key, default: 0])
    }
    return sessions + max(0, arena - resident.arenaBytes) + weights
  }

  /// What binding the weights of networks of one component takes.
  private func weightBytes(of networks: [NetworkKey]) -> Int {
    // Extents and peels change nothing of it.
    let names = Set(networks.map(\.network))
    if let known = weightBytes.withLock({ $0[names] }) { return known }
    let bytes = backend.boundBytes(
      of: networks.map { plan($0).graph }, in: stores[networks[0].network.component]!,
      activations: activations)
    weightBytes.withLock { $0[names] = bytes }
    return bytes
  }
}
