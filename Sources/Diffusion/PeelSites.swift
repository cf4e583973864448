package import Graph
import Models
import Synchronization
import TensorTypes
package import Weights

/// A linear or convolution that peels may change.
package struct PeelSite: Hashable, Sendable {
  /// The name that the family has for the weights that it is in.
  package let weights: String
  package let weight: WeightReference
}

/// The layers of a model that peels may change, by the names that peels have for them.
package final class PeelSites: Sendable {
  /// A network that is open to peels.
  struct Network {
    /// What peels call it.
    let network: PeelNetwork
    let weights: String
    let graph: Graph
  }

  fileprivate let model: String
  /// Of the file that the layers' weights are in; nil if it is not known.
  private let baseSHA256: String?
  private let targets: [PeelNetwork: [String: PeelSite]]
  private let architecture: PeelArchitecture?
  /// Of the vectors that words may stand for, by text encoder, the first of which is 1; none where
  /// none reads any.
  private let embeddingWidths: [Int: Int]
  /// The numbers of the last layers of text encoders.
  private let lastLayers: [PeelNetwork: Int]
  /// The base's weights; empty where peels are only checked.
  private let stores: [String: WeightStore]

  /// - Parameters:
  ///   - model: The model's name, for errors.
  ///   - baseSHA256: Of the file that the denoiser's weights are in.
  init(
    in networks: [Network], model: String, baseSHA256: String?, stores: [String: WeightStore],
    embeddingWidths: [Int: Int] = [:]
  ) {
    self.embeddingWidths = embeddingWidths
    self.model = model
    self.baseSHA256 = baseSHA256
    self.stores = stores
    var targets: [PeelNetwork: [String: PeelSite]] = [:]
    for network in networks {
      for node in network.graph.nodes {
        guard let weight = node.op.weightProduct?.weight, weight.name.hasSuffix(".weight") else {
          continue
        }
        let site = PeelSite(weights: network.weights, weight: weight)
        let key = Self.key(weight.name.dropLast(".weight".count))
        let known = targets[network.network, default: [:]].updateValue(site, forKey: key)
        precondition(known == nil || known == site, "two layers are called \(weight.name)")
      }
    }
    architecture = PeelArchitecture(
      (targets[.denoiser] ?? [:]).map { ($0.key, $0.value.weight.shape.last) })
    for (network, own) in targets {
      let layers = own.values.map { String($0.weight.name.dropLast(".weight".count)) }
      for (other, layer) in LayerNames.others(for: layers) {
        // A layer's own name is the first that counts.
        if own[Self.key(other)] == nil { targets[network]![Self.key(other)] = own[Self.key(layer)] }
      }
    }
    self.targets = targets
    lastLayers = targets.compactMapValues { $0.keys.compactMap(Self.layerNumber).max() }
  }

  /// The sites that a peel changes, with the change to each.
  /// - Throws: `PeelError` unless each update names one of them and fits it, or changes nothing.
  fileprivate func resolve(_ peel: PeelFile) throws(PeelError) -> ResolvedPeel {
    if let expected = peel.texts.baseModelHash, expected != baseSHA256 {
      throw .wrongBase(
        model: model, expectedSHA256: expected, actualSHA256: baseSHA256 ?? "")
    }
    if let embedding = peel.embedding {
      try check(embedding, of: peel)
      return ResolvedPeel(updates: [:], ignored: [])
    }
    var updates: [PeelSite: PeelFile.Update] = [:]
    var unknown: [String] = []
    var ignored: [String] = []
    do throws(PeelError) {
      for update in peel.updates {
        guard let site = site(of: update) else {
          if update.isNothing || isBehindTheLast(update) {
            ignored.append(update.target)
          } else if targets[update.network] == nil {
            throw .closedNetwork(update.network, target: update.target, model: model)
          } else {
            unknown.append(update.target)
          }
          continue
        }
        try Self.checkFit(update, site.weight)
        guard updates.updateValue(update, forKey: site) == nil else {
          throw .repeatedTarget(target: update.target)
        }
      }
      if updates.isEmpty, let first = peel.updates.first, targets[first.network] == nil {
        throw .closedNetwork(first.network, target: first.target, model: model)
      }
      if !unknown.isEmpty || updates.isEmpty {
        let names = unknown + ignored
        throw .unknownTargets(
          first: Array(names.prefix(3)), count: names.count, of: peel.updates.count, model: model)
      }
    } catch {
      if let made = PeelArchitecture(of: peel), made != architecture {
        throw .otherArchitecture(made: made.rawValue, model: model, is: architecture?.rawValue)
      }
      throw error
    }
    return ResolvedPeel(updates: updates, ignored: ignored)
  }

  private func check(_ embedding: PeelEmbedding, of peel: PeelFile) throws(PeelError) {
    if embedding.widths == embeddingWidths { return }
    guard !embeddingWidths.isEmpty else { throw .noEmbeddings(model: model) }
    if let made = PeelArchitecture(of: peel), made != architecture {
      throw .otherArchitecture(made: made.rawValue, model: model, is: architecture?.rawValue)
    }
    func sorted(_ widths: [Int: Int]) -> [Int] { widths.sorted { $0.key < $1.key }.map(\.value) }
    throw .unfitEmbedding(
      widths: sorted(embedding.widths), model: model, expected: sorted(embeddingWidths))
  }

  private static func checkFit(
    _ update: PeelFile.Update, _ weight: WeightReference
  ) throws(PeelError) {
    let shape = weight.shape
    let kernel: Shape? = shape.rank == 4 && shape[1] * shape[2] > 1 ? [shape[1], shape[2]] : nil
    if update.fits(outputs: shape[0], inputs: shape.last, kernel: kernel) { return }
    throw .unfitUpdate(
      target: update.target,
      expected: kernel.map { [shape[0], shape.last, $0[0], $0[1]] } ?? [shape[0], shape.last],
      actual: update.shape)
  }

  private func site(of update: PeelFile.Update) -> PeelSite? {
    let key = Self.key(update.target)
    if let site = targets[update.network]?[key] { return site }
    // A file of a text encoder alone need not say so.
    guard update.network == .denoiser, key.hasPrefix("text_model_") else { return nil }
    return targets[.textEncoder(1)]?[key]
  }

  /// Whether an update is of a text encoder's layer behind the last that the model reads, as
  /// checkpoints have them that read the last but one.
  private func isBehindTheLast(_ update: PeelFile.Update) -> Bool {
    guard case .textEncoder = update.network, let last = lastLayers[update.network],
      let number = Self.layerNumber(Self.key(update.target))
    else { return false }
    return number > last
  }

  /// The number of the layer of a text encoder that a key is of.
  private static func layerNumber(_ key: String) -> Int? {
    for start in ["text_model_encoder_layers_", "encoder_layers_"] where key.hasPrefix(start) {
      return Int(key.dropFirst(start.count).prefix { $0 != "_" })
    }
    return nil
  }

  /// Kohya's names have underscores where the network's have dots, so names are compared so.
  static func key(_ name: some StringProtocol) -> String {
    String(name.map { $0 == "." ? "_" : $0 })
  }

  /// The base's weight at a site in f32, `[out, y, x, in]`.
  fileprivate func weight(at site: PeelSite) -> [Float] {
    guard
      let stored = try? stores[site.weights]?.weight(
        named: site.weight.name, logicalShape: site.weight.shape)
    else { preconditionFailure("\(site.weight.name) is not in an open model") }
    return stored.dequantized()
  }
}

/// A peel as one model takes it.
final class ResolvedPeel: Sendable {
  /// The change at each site; its numbers stay in the peel's file.
  let updates: [PeelSite: PeelFile.Update]
  /// What the model has no place for, and what would change nothing.
  let ignored: [String]
  /// What each output is multiplied by where an update gives the changed weight's rows their
  /// lengths, `[out]`; kept with the peel, a number for each of these lengths.
  private let knownGains = Mutex<[PeelSite: [Float]]>([:])

  init(updates: [PeelSite: PeelFile.Update], ignored: [String]) {
    self.updates = updates
    self.ignored = ignored
  }

  /// Whether everything was worked out.
  var isPrepared: Bool {
    knownGains.withLock { known in
      updates.allSatisfy { !$0.value.isDecomposed || known[$0.key] != nil }
    }
  }

  /// Works out what takes its time: for a rank of 256 on all layers of Stable Diffusion a minute.
  /// - Throws: `CancellationError` as soon as it is not wanted any more.
  func prepare(_ sites: PeelSites, isWanted: () -> Bool) throws(CancellationError) {
    for site in updates.keys { _ = try gain(at: site, sites, isWanted: isWanted) }
  }

  /// What the outputs at a site are multiplied by, `[out]`; nil for 1. Worked out on the spot where
  /// nobody has prepared it.
  func gain(at site: PeelSite, _ sites: PeelSites) -> [Float]? {
    try? gain(at: site, sites) { true }
  }

  private func gain(
    at site: PeelSite, _ sites: PeelSites, isWanted: () -> Bool
  ) throws(CancellationError) -> [Float]? {
    guard let update = updates[site], let magnitudes = update.magnitudes else { return nil }
    if let known = knownGains.withLock({ $0[site] }) { return known }
    let lengths = try update.lengths(
      beside: sites.weight(at: site), site.weight.shape, isWanted: isWanted)
    let gain = zip(magnitudes, lengths).map { $1 > 0 ? $0 / $1 : 0 }
    knownGains.withLock { $0[site] = gain }
    return gain
  }
}

extension PeelFile.Update {
  /// The lengths of the rows of `weight + scale * up down`, `[out]`.
  /// - Parameters:
  ///   - weight: `[out, y, x, in]`.
  ///   - isWanted: Asked before each row.
  fileprivate func lengths(
    beside weight: [Float], _ shape: Shape, isWanted: () -> Bool
  ) throws(CancellationError) -> [Float] {
    let (outputs, inputs, rank) = (shape[0], shape.last, self.rank)
    let columns = weight.count / outputs
    let places = columns / inputs
    let (up, down) = (self.up, self.placed(inputs: inputs, places: places))
    var row = Array(repeating: Float(0), count: columns)
    return try (0..<outputs).map { output throws(CancellationError) in
      guard isWanted() else { throw CancellationError() }
      return row.withUnsafeMutableBufferPointer { row in
        down.withUnsafeBufferPointer { down in
          for column in 0..<columns { row[column] = weight[output * columns + column] }
          for inner in 0..<rank {
            let factor = up[output * rank + inner]
            for column in 0..<columns { row[column] += factor * down[inner * columns + column] }
          }
        }
        return Float(row.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot())
      }
    }
  }

  /// `down` with its columns in the order of weights here, `[rank, place, in]`.
  func placed(inputs: Int, places: Int) -> [Float] {
    let down = self.down
    if places == 1 { return down }
    var placed = Array(repeating: Float(0), count: down.count)
    for row in 0..<rank {
      for input in 0..<inputs {
        for place in 0..<places {
          placed[(row * places + place) * inputs + input] =
            down[(row * inputs + input) * places + place]
        }
      }
    }
    return placed
  }
}

/// A peel that is open, with what the models that asked for it make of it.
package final class OpenPeel: Sendable {
  package let file: PeelFile
  /// One for each model; those of models that were closed go with the next one.
  private let resolved = Mutex<[Known]>([])

  private struct Known {
    weak var sites: PeelSites?
    let peel: ResolvedPeel
  }

  package init(_ file: PeelFile) { self.file = file }

  /// Checks that the peel was made for a model.
  /// - Throws: `PeelError`.
  package func check(for sites: PeelSites) throws(PeelError) { _ = try resolved(for: sites) }

  /// Checks that the peel was made for a model whose weights are open, and works out what drawing
  /// with it needs.
  /// - Throws: `PeelError`, or `CancellationError` when it is not wanted any more.
  package func prepare(for sites: PeelSites, isWanted: () -> Bool) throws {
    try resolved(for: sites).prepare(sites, isWanted: isWanted)
  }

  /// Whether that was done.
  package func isPrepared(for sites: PeelSites) -> Bool {
    resolved.withLock { $0.first { $0.sites === sites } }?.peel.isPrepared ?? false
  }

  /// What the models that it was checked for leave out of it, in sentences.
  package var omissions: [String] {
    resolved.withLock { known in
      known.compactMap { known in
        guard let sites = known.sites, let first = known.peel.ignored.first else { return nil }
        return "\(known.peel.ignored.count) of its \(file.updates.count) layers "
          + "(\"\(first.excerpt)\") change nothing, or are behind what \(sites.model) reads, and "
          + "are left out."
      }
    }
  }

  /// The layers of a model that it changes; all of its own if it was not checked for that one.
  package func layerCount(of model: String) -> Int {
    let known = resolved.withLock { $0.first { $0.sites?.model == model } }
    return known?.peel.updates.count ?? file.updates.count
  }

  /// The peel as a model takes it; looked up once.
  /// - Throws: `PeelError`.
  func resolved(for sites: PeelSites) throws(PeelError) -> ResolvedPeel {
    if let known = resolved.withLock({ $0.first { $0.sites === sites } }) { return known.peel }
    let peel = try sites.resolve(file)
    resolved.withLock { known in
      known.removeAll { $0.sites == nil }
      known.append(Known(sites: sites, peel: peel))
    }
    return peel
  }
}
