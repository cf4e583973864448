import Execution
package import Graph
import TensorTypes
package import Weights

/// What decides how a network with peels is compiled: equal layouts share plans.
package struct PeelLayout: Hashable, Sendable {
  /// The weights of the linears that peels change, and the room along the rank of each: one of
  /// `PeelMix.ranks`.
  package let sites: [WeightReference: Int]

  /// The layout as a network sees it that has only `weights`; nil if no peel changes it.
  func restricted(to weights: Set<WeightReference>) -> PeelLayout? {
    let sites = self.sites.filter { weights.contains($0.key) }
    return sites.isEmpty ? nil : PeelLayout(sites: sites)
  }
}

/// A peel and how strongly it is applied.
package struct PeelUse: Sendable {
  package let peel: OpenPeel
  /// What its user calls it.
  package let name: String
  /// 1 is as it was trained, 0 not at all.
  package let strength: Float
  /// Keeps it installed while somebody draws with it.
  private let holder: (any AnyObject & Sendable)?

  package var sha256: String { peel.file.sha256 }

  package init(
    _ peel: OpenPeel, name: String, strength: Float, heldBy holder: (any AnyObject & Sendable)?
  ) {
    self.peel = peel
    self.name = name
    self.strength = strength
    self.holder = holder
  }

  /// A file that is open for this alone.
  package init(file: PeelFile, name: String = "peel", strength: Float) {
    self.init(OpenPeel(file), name: name, strength: strength, heldBy: nil)
  }
}

/// Equal peels have equal content, whatever they are called.
extension PeelUse: Hashable {
  package static func == (a: PeelUse, b: PeelUse) -> Bool {
    a.sha256 == b.sha256 && a.strength == b.strength
  }

  package func hash(into hasher: inout Hasher) {
    hasher.combine(sha256)
    hasher.combine(strength)
  }
}

/// Several peels as one low-rank update a linear: concatenated along the rank, which is exact,
/// their strengths folded into `up`, padded with zeros to each site's rank in the layout.
///
/// Their numbers stay in their files until `write` lays them into a session's inputs.
package struct PeelMix: Sendable {
  /// The ranks that plans are compiled for.
  package static let ranks = [8, 16, 32, 64, 128, 256]

  /// What tells a mix from others: equal parts write equal numbers.
  struct Part: Hashable, Sendable {
    let sha256: String
    let strength: Float
  }

  package private(set) var layout: PeelLayout
  let parts: [Part]
  private let changes: [WeightReference: [Change]]

  private struct Change: Sendable {
    let update: PeelFile.Update
    let strength: Float
  }

  /// The mix of `peels`; nil if none of them changes anything.
  /// - Throws: `GenerationError.peel` if one was made for another model,
  ///   `GenerationError.excessiveRank` if they are too many.
  package init?(_ peels: [PeelUse], for sites: PeelSites) throws(GenerationError) {
    var changes: [WeightReference: [Change]] = [:]
    let peels = peels.filter { $0.strength != 0 }
    for use in peels {
      do throws(PeelError) {
        for (site, update) in try use.peel.resolved(for: sites).updates {
          changes[site, default: []].append(Change(update: update, strength: use.strength))
        }
      } catch { throw .peel(error) }
    }
    if changes.isEmpty { return nil }
    var ranks: [WeightReference: Int] = [:]
    for (site, changes) in changes {
      let needed = changes.reduce(0) { $0 + $1.update.rank }
      guard let rank = Self.ranks.first(where: { $0 >= needed }) else {
        throw .excessiveRank(needed, maximum: Self.ranks.last ?? 0)
      }
      ranks[site] = rank
    }
    layout = PeelLayout(sites: ranks)
    parts = peels.map { Part(sha256: $0.sha256, strength: $0.strength) }
    self.changes = changes
  }

  /// The same mix with other room; more of it is zeros.
  func with(_ layout: PeelLayout) -> PeelMix {
    var mix = self
    mix.layout = layout
    return mix
  }

  /// Lays the factors into the inputs of a session whose graph has the sites of `layout`.
  func write(to session: Session, _ layout: PeelLayout) {
    var blocks: [Float] = []
    func fill(
      _ shape: Shape, _ changes: [Change],
      _ lay: (Change, UnsafeMutableBufferPointer<Float>, _ first: Int) -> Void
    ) {
      blocks.removeAll(keepingCapacity: true)
      blocks.append(contentsOf: repeatElement(0, count: shape.count))
      blocks.withUnsafeMutableBufferPointer { blocks in
        var first = 0
        for change in changes {
          lay(change, blocks, first)
          first += change.update.rank
        }
      }
    }
    for (site, room) in layout.sites {
      guard let changes = changes[site] else { preconditionFailure("\(site.name) has no update") }
      fill(Matmul.matrixShape(outputs: room, inputs: site.shape[1]), changes) {
        $0.update.layDown(into: $1, first: $2)
      }
      session.write(blocks, to: PeelInput.down(site))
      fill(Matmul.matrixShape(outputs: site.shape[0], inputs: room), changes) {
        $0.update.layUp(into: $1, first: $2, room: room, strength: $0.strength)
      }
      session.write(blocks, to: PeelInput.up(site))
    }
  }
}
