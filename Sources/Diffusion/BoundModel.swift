package import Execution
package import Graph
package import Models
package import TensorTypes
package import Weights

/// A model's networks on a backend: traces, plans and compiles them when they are first needed.
package final class BoundModel {
  /// A network of the model.
  package enum Network: Hashable, Sendable { case textEncoder, context, denoiser, decoder, encoder }

  private struct Key: Hashable {
    let network: Network
    let batch: Int
    let tokens: Int
  }

  package let family: any ModelFamily
  private let weights: [ModelComponent: any BoundWeights]
  private let cache: PlanCache<Key>

  /// - Parameters:
  ///   - stores: The weights of each component.
  ///   - cacheBytes: How much memory plans may hold together.
  package init(
    family: any ModelFamily, stores: [ModelComponent: WeightStore], backend: any Backend,
    activations: ActivationFormat, cacheBytes: Int = 512 << 20
  ) {
    self.family = family
    weights = stores.mapValues { backend.bind($0, activations: activations) }
    cache = PlanCache(capacityBytes: cacheBytes)
  }

  /// Memory held beside the mapped files: what binding took, and the cached plans.
  package var residentBytes: Int {
    cache.residentBytes + weights.values.reduce(0) { $0 + $1.residentBytes }
  }

  /// The network as a graph, ready for planning.
  package func graph(_ network: Network, batch: Int, tokens: Int) -> Graph {
    let traced =
      switch network {
      case .textEncoder: family.textEncoder(batch: batch, tokens: tokens)
      case .context: family.context(batch: batch, tokens: tokens)
      case .denoiser: family.denoiser(batch: batch, tokens: tokens)
      case .decoder: family.decoder(batch: batch)
      case .encoder: family.encoder(batch: batch)
      }
    return traced.removingDeadNodes().fusingEpilogues()
  }

  /// A session of the network for these extents; `tokens` is 0 where there is no text.
  package func session(
    _ network: Network, batch: Int, tokens: Int = 0
  ) throws(ExecutionError) -> Session {
    let key = Key(network: network, batch: batch, tokens: tokens)
    return try cache.session(for: key) { () throws(ExecutionError) in
      let plan = Planner.plan(graph(network, batch: batch, tokens: tokens))
      guard let bound = weights[network.component] else {
        preconditionFailure("no weights for \(network.component)")
      }
      return Session(try bound.compile(plan))
    }
  }
}

extension BoundModel.Network {
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
