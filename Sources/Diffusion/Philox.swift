#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Standard normal numbers that depend only on a seed and an index, on every machine.
///
/// Philox4x32-10 (Salmon et al. 2011, "Parallel Random Numbers: As Easy as 1, 2, 3") with the
/// Box-Muller transform, in the counter layout with which CUDA generators draw normals.
package struct Philox: Sendable {
  package let seed: UInt64
  /// Which of the seed's sequences.
  package let stream: UInt32
  /// How often PyTorch's generator on CUDA was asked for such a sequence before.
  package let offset: UInt32

  package init(seed: UInt64, stream: UInt32 = 0, offset: UInt32 = 0) {
    self.seed = seed
    self.stream = stream
    self.offset = offset
  }

  /// Element `index` of the sequence.
  package func normal(at index: Int) -> Float {
    let random = block(counter: (offset, 0, UInt32(truncatingIfNeeded: index), stream))
    let u = Double(random.0) * 0x1p-32 + 0x1p-33
    let v = (Double(random.1) * 0x1p-32 + 0x1p-33) * 2 * Double.pi
    return Float((-2 * log(u)).squareRoot() * sin(v))
  }

  /// Fills `target` with the sequence's first elements.
  package func fillNormal(_ target: UnsafeMutableBufferPointer<Float>) {
    for index in target.indices { target[index] = normal(at: index) }
  }

  /// The four words that ten rounds make of a counter.
  package func block(
    counter: (UInt32, UInt32, UInt32, UInt32)
  ) -> (UInt32, UInt32, UInt32, UInt32) {
    var c = counter
    var key = (UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32))
    for round in 0..<10 {
      if round > 0 { key = (key.0 &+ 0x9E37_79B9, key.1 &+ 0xBB67_AE85) }
      let first = UInt64(c.0) * 0xD251_1F53
      let second = UInt64(c.2) * 0xCD9E_8D57
      c = (
        UInt32(second >> 32) ^ c.1 ^ key.0, UInt32(truncatingIfNeeded: second),
        UInt32(first >> 32) ^ c.3 ^ key.1, UInt32(truncatingIfNeeded: first)
      )
    }
    return c
  }
}
