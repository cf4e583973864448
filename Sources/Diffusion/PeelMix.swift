import Execution
package import Graph
import TensorTypes
package import Weights

/// What decides how a network with peels is compiled: equal layouts share plans.
package struct PeelLayout: Hashable, Sendable {
  /// Room along the rank: one of `PeelMix.ranks`.
  package let rank: Int
  /// The weights of the linears that peels change.
  package let sites: Set<WeightReference>

  /// The layout as a network sees it that has only `weights`; nil if no peel changes it.
  func restricted(to weights: Set<WeightReference>) -> PeelLayout? {
    let sites = self.sites.intersection(weights)
    return sites.isEmpty ? nil : PeelLayout(rank: rank, sites: sites)
  }
}

/// A peel and how strongly it is applied.
package struct WeightedPeel: Sendable {
  package let file: PeelFile
  /// 1 is as it was trained, 0 not at all.
  package let strength: Float

  package init(file: PeelFile, strength: Float) {
    self.file = file
    self.strength = strength
  }
}

extension WeightedPeel: Equatable {
  package static func == (a: WeightedPeel, b: WeightedPeel) -> Bool {
    a.file.sha256 == b.file.sha256 && a.strength == b.strength
  }
}

/// Several peels as one low-rank update a linear: concatenated along the rank, which is exact,
/// their strengths folded into `up`, padded with zeros to the layout's rank.
package final class PeelMix: Sendable {
  /// The ranks that plans are compiled for.
  package static let ranks = [8, 16, 32, 64, 128]

  /// The factors of one linear's update as the graph's inputs hold them (`Matmul`).
  private struct Factors {
    var down: [Float]
    var up: [Float]
  }

  package let layout: PeelLayout
  private let factors: [WeightReference: Factors]

  /// The mix of `peels`; nil if none of them changes anything.
  /// - Throws: `GenerationError.peel` if one was made for another model,
  ///   `GenerationError.excessiveRank` if they are too many.
  package static func make(
    _ peels: [WeightedPeel], for model: LoadedModel
  ) throws(GenerationError) -> PeelMix? {
    let updates = try updates(of: peels, for: model)
    if updates.isEmpty { return nil }
    return PeelMix(updates, try layout(of: updates))
  }

  /// The layout of the mix of `peels`, without making it.
  /// - Throws: As `make`.
  package static func layout(
    of peels: [WeightedPeel], for model: LoadedModel
  ) throws(GenerationError) -> PeelLayout? {
    let updates = try updates(of: peels, for: model)
    return updates.isEmpty ? nil : try layout(of: updates)
  }

  private typealias Updates = [WeightReference: [(update: PeelFile.Update, strength: Float)]]

  private static func updates(
    of peels: [WeightedPeel], for model: LoadedModel
  ) throws(GenerationError) -> Updates {
    var updates: Updates = [:]
    for peel in peels where peel.strength != 0 {
      do throws(PeelError) {
        for (weight, update) in try model.peelSites.resolve(peel.file) {
          updates[weight, default: []].append((update, peel.strength))
        }
      } catch { throw .peel(error) }
    }
    return updates
  }

  private static func layout(of updates: Updates) throws(GenerationError) -> PeelLayout {
    let needed = updates.values.map { $0.reduce(0) { $0 + $1.update.rank } }.max() ?? 0
    guard let rank = ranks.first(where: { $0 >= needed }) else {
      throw .excessiveRank(needed, maximum: ranks.last ?? 0)
    }
    return PeelLayout(rank: rank, sites: Set(updates.keys))
  }

  private init(_ updates: Updates, _ layout: PeelLayout) {
    let rank = layout.rank
    self.layout = layout
    factors = Dictionary(
      uniqueKeysWithValues: updates.map { weight, updates in
        let (outputs, inputs) = (weight.shape[0], weight.shape[1])
        var factors = Factors(
          down: Array(
            repeating: 0, count: Matmul.matrixShape(outputs: rank, inputs: inputs).count),
          up: Array(repeating: 0, count: Matmul.matrixShape(outputs: outputs, inputs: rank).count))
        var first = 0
        for (update, strength) in updates {
          Self.block(
            update.down, outputs: update.rank, inputs: inputs, into: &factors.down,
            width: inputs, firstOutput: first, firstInput: 0, scale: 1)
          Self.block(
            update.up, outputs: outputs, inputs: update.rank, into: &factors.up, width: rank,
            firstOutput: 0, firstInput: first, scale: strength)
          first += update.rank
        }
        return (weight, factors)
      })
  }

  /// Lays a matrix `[outputs, inputs]` into a larger one in blocks of 16 outputs.
  /// - Parameter width: Inputs of the larger one.
  private static func block(
    _ matrix: [Float], outputs: Int, inputs: Int, into target: inout [Float], width: Int,
    firstOutput: Int, firstInput: Int, scale: Float
  ) {
    let lanes = BlockLayout.outputs
    matrix.withUnsafeBufferPointer { source in
      target.withUnsafeMutableBufferPointer { target in
        for o in 0..<outputs {
          let output = firstOutput + o
          var at = (output / lanes * width + firstInput) * lanes + output % lanes
          for i in o * inputs..<(o + 1) * inputs {
            target[at] = source[i] * scale
            at += lanes
          }
        }
      }
    }
  }

  /// Copies the factors into the inputs of a session whose graph has the sites of `layout`.
  func write(to session: Session, _ layout: PeelLayout) {
    for site in layout.sites {
      guard let factors = factors[site] else { preconditionFailure("\(site.name) has no update") }
      session.write(factors.down, to: PeelInput.down(site))
      session.write(factors.up, to: PeelInput.up(site))
    }
  }
}
