package import Execution
package import Graph
package import Models
import Synchronization
import TensorTypes

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
  private let contextWeights: Set<WeightReference>
  private let denoiserWeights: Set<WeightReference>
  private let plans = Mutex<[NetworkKey: Plan]>([:])

  package init(family: any ModelFamily) {
    self.family = family
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
    default: layout = nil
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
    let attached = key.peels.map { live.attachingPeels(to: $0.sites, rank: $0.rank) } ?? live
    return attached.fusingEpilogues()
  }

  package func plan(_ key: NetworkKey) -> Plan {
    if let known = plans.withLock({ $0[key] }) { return known }
    let plan = Planner.plan(graph(key))
    plans.withLock {
      if $0.count >= Self.capacity { $0.removeAll() }
      $0[key] = plan
    }
    return plan
  }

  /// Bytes that running the network takes, a little more than its executable says: the arena, and
  /// the largest operand that a matrix product could want copied.
  package func peakBytes(_ key: NetworkKey) -> Int {
    let plan = plan(key)
    let largest = plan.graph.nodes.reduce(0) { largest, node in
      switch node.op {
      case .linear: max(largest, node.operands[0].byteCount)
      // With a border of one pixel all round.
      case .convolution: max(largest, node.operands[0].byteCount * 5 / 4)
      default: largest
      }
    }
    return plan.arenaBytes + largest + 1 << 20
  }
}
