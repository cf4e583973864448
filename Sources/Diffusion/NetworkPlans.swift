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

  /// Bytes that running the network takes beside bound weights.
  package func peakBytes(_ key: NetworkKey) -> Int { backend.peakBytes(of: plan(key)) }
}
