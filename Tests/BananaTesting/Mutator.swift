/// A small repeatable generator of random numbers (SplitMix64).
package struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  package init(seed: UInt64) {
    state = seed
  }

  package mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

/// Damages bytes in ways that parsers trip over; the same seed does the same damage.
package struct Mutator {
  private var random: SeededGenerator
  private let tokens: [String]

  /// - Parameter tokens: Pieces that are worth putting in.
  package init(seed: UInt64, tokens: [String]) {
    random = SeededGenerator(seed: seed)
    self.tokens = tokens
  }

  package mutating func mutate(_ original: [UInt8]) -> [UInt8] {
    var bytes = original
    for _ in 0..<Int.random(in: 1...4, using: &random) {
      let at = Int.random(in: 0...bytes.count, using: &random)
      let length = min(Int.random(in: 1...8, using: &random), bytes.count - at)
      switch Int.random(in: 0..<6, using: &random) {
      case 0: bytes.removeSubrange(at..<at + length)
      case 1: bytes.insert(contentsOf: bytes[at..<at + length], at: at)
      case 2 where at < bytes.count: bytes[at] ^= 1 << UInt8.random(in: 0..<8, using: &random)
      case 3: bytes.insert(UInt8.random(in: 0...255, using: &random), at: at)
      case 4: bytes = Array(bytes.prefix(at))
      default: bytes.insert(contentsOf: tokens.randomElement(using: &random)!.utf8, at: at)
      }
    }
    return bytes
  }
}
