import Execution
package import Graph
package import Models
import TensorTypes
package import Weights

/// What decides how a network with peels is compiled: equal layouts share plans.
package struct PeelLayout: Hashable, Sendable {
  /// What peels change at each linear or convolution; the room along a rank is one of
  /// `PeelMix.ranks`.
  package let sites: [PeelSite: PeelAttachment]

  /// The layout as a network sees it that has only `weights` of the set of that name; nil if no
  /// peel changes it.
  func restricted(to weights: Set<WeightReference>, of name: String) -> PeelLayout? {
    let sites = self.sites.filter { $0.key.weights == name && weights.contains($0.key.weight) }
    return sites.isEmpty ? nil : PeelLayout(sites: sites)
  }

  /// By the weights of one network.
  var attachments: [WeightReference: PeelAttachment] {
    Dictionary(uniqueKeysWithValues: sites.map { ($0.key.weight, $0.value) })
  }
}

/// A peel and how strongly it is applied.
package struct PeelUse: Sendable {
  package let peel: OpenPeel
  /// What its user calls it.
  package let name: String
  /// 1 is as it was trained, 0 not at all.
  package let strength: Float
  /// What it was distilled to, where it is known to be one that makes models draw in few steps.
  package let distillation: Distillation?
  /// Keeps it installed while somebody draws with it.
  private let holder: (any AnyObject & Sendable)?

  package var sha256: String { peel.file.sha256 }

  package init(
    _ peel: OpenPeel, name: String, strength: Float, distillation: Distillation? = nil,
    heldBy holder: (any AnyObject & Sendable)?
  ) {
    self.peel = peel
    self.distillation = distillation
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

/// Several peels as one change of each linear and convolution: low-rank updates are concatenated
/// along the rank, which is exact, their strengths folded into `up`, padded with zeros to each
/// site's rank in the layout; scales and shifts are added up.
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
  private let changes: [PeelSite: [Change]]

  private struct Change: Sendable {
    let update: PeelFile.Update
    let strength: Float
    let peel: ResolvedPeel
    let sites: PeelSites

    /// What the changed outputs at a site are multiplied by, `[out]`; nil for 1. The base's weight
    /// is read when it is first asked for: by the engine, not by who only asks for room.
    func gain(at site: PeelSite) -> [Float]? { peel.gain(at: site, sites) }
  }

  /// The mix of `peels`; nil if none of them changes anything.
  /// - Throws: `GenerationError.peel` if one was made for another model, or two cannot be together,
  ///   `GenerationError.excessiveRank` if they are too many.
  package init?(_ peels: [PeelUse], for sites: PeelSites) throws(GenerationError) {
    var changes: [PeelSite: [Change]] = [:]
    let peels = peels.filter { $0.strength != 0 }
    do throws(PeelError) {
      for use in peels {
        let peel = try use.peel.resolved(for: sites)
        for (site, update) in peel.updates {
          changes[site, default: []].append(
            Change(update: update, strength: use.strength, peel: peel, sites: sites))
        }
      }
    } catch { throw .peel(error) }
    if changes.isEmpty { return nil }
    layout = PeelLayout(
      sites: try Dictionary(
        uniqueKeysWithValues: changes.map { site, changes throws(GenerationError) in
          (site, try Self.attachment(of: changes, at: site))
        }))
    parts = peels.map { Part(sha256: $0.sha256, strength: $0.strength) }
    self.changes = changes
  }

  private static func attachment(
    of changes: [Change], at site: PeelSite
  ) throws(GenerationError) -> PeelAttachment {
    let needed = changes.reduce(0) { $0 + $1.update.rank }
    guard let rank = needed == 0 ? 0 : ranks.first(where: { $0 >= needed }) else {
      throw .excessiveRank(needed, maximum: ranks.last ?? 0)
    }
    let attachment = PeelAttachment(
      rank: rank, scalesInputs: changes.contains { $0.update.scalesInputs },
      scalesOutputs: changes.contains { $0.update.scalesOutputs },
      shifts: changes.contains { $0.update.shifts })
    // Each is a change of the base alone: together they would be one of each other.
    if attachment.scalesInputs, attachment.scalesOutputs {
      throw .peel(
        .unsupportedForm("(IA)³ on inputs beside scaled outputs", tensor: site.weight.name))
    }
    return attachment
  }

  /// The same mix with other room; more of it is zeros.
  func with(_ layout: PeelLayout) -> PeelMix {
    var mix = self
    mix.layout = layout
    return mix
  }
}

// Writing.
extension PeelMix {
  /// Lays the factors into the inputs of a session whose graph has the sites of `layout`.
  func write(to session: Session, _ layout: PeelLayout) {
    for (site, attachment) in layout.sites {
      guard let changes = changes[site] else {
        preconditionFailure("\(site.weight.name) has no update")
      }
      let weight = site.weight
      if attachment.rank > 0 { writeFactors(changes, site, room: attachment.rank, to: session) }
      func row(_ count: Int, _ start: Float, _ part: (Change) -> [Float]?) -> [Float] {
        var row = Array(repeating: start, count: count)
        for change in changes {
          for (index, value) in (part(change) ?? []).enumerated() {
            row[index] += change.strength * value
          }
        }
        return row
      }
      if attachment.scalesInputs {
        let scale = row(weight.shape.last, 1) { $0.update.inputScale }
        session.write(scale, to: PeelInput.inputScale(weight))
      }
      if attachment.scalesOutputs {
        let scale = row(weight.shape[0], 1) { change in
          change.gain(at: site).map { $0.map { $0 - 1 } } ?? change.update.outputScale
        }
        session.write(scale, to: PeelInput.outputScale(weight))
      }
      if attachment.shifts {
        session.write(row(weight.shape[0], 0) { $0.update.shift }, to: PeelInput.shift(weight))
      }
    }
  }

  private func writeFactors(
    _ changes: [Change], _ site: PeelSite, room: Int, to session: Session
  ) {
    let weight = site.weight
    let (outputs, inputs) = (weight.shape[0], weight.shape.last)
    let places = weight.shape.count / (outputs * inputs)
    var down = BlockedMatrix(outputs: places * room, inputs: inputs)
    var up = BlockedMatrix(outputs: outputs, inputs: room)
    var first = 0
    for change in changes where change.update.rank > 0 {
      let rank = change.update.rank
      let placed = change.update.placed(inputs: inputs, places: places)
      for row in 0..<rank {
        for place in 0..<places {
          let from = (row * places + place) * inputs
          down.layRow(place * room + first + row, placed[from..<from + inputs])
        }
      }
      let (factor, gain) = (change.update.up, change.gain(at: site))
      for row in 0..<outputs {
        let strength = change.strength * (gain?[row] ?? 1)
        up.layRow(row, factor[row * rank..<(row + 1) * rank], from: first, times: strength)
      }
      first += rank
    }
    session.write(down.blocks, to: PeelInput.down(weight))
    session.write(up.blocks, to: PeelInput.up(weight))
  }
}

/// A matrix in blocks of 16 rows (`BlockLayout`), zeros where nothing is laid.
private struct BlockedMatrix {
  private let inputs: Int
  private(set) var blocks: [Float]

  init(outputs: Int, inputs: Int) {
    self.inputs = inputs
    blocks = Array(
      repeating: 0, count: Matmul.matrixShape(outputs: outputs, inputs: inputs).count)
  }

  mutating func layRow(
    _ row: Int, _ values: ArraySlice<Float>, from column: Int = 0, times factor: Float = 1
  ) {
    let lanes = BlockLayout.outputs
    let start = (row / lanes * inputs + column) * lanes + row % lanes
    blocks.withUnsafeMutableBufferPointer { blocks in
      values.withUnsafeBufferPointer { values in
        for index in 0..<values.count { blocks[start + index * lanes] = values[index] * factor }
      }
    }
  }
}
