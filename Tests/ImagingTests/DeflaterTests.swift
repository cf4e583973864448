import Testing

@testable import Imaging

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

@Suite struct DeflaterTests {
  /// Rows of zeros behind their filter, as clear pictures begin, and of fours that come again: at
  /// addresses whose hash is that of their first bytes.
  @Test(arguments: [
    [2, 0, 0, 0, 0, 0, 0, 0], [2, 9, 8, 7, 9, 8, 7, 9], [1, 2, 3, 4, 1, 2, 3, 4],
  ])
  func whereItLiesChangesNothing(beginning: [UInt8]) throws {
    let row = beginning + Array(repeating: beginning[4..<8], count: 128).joined()
    let bytes = Array(repeating: row, count: 200).joined() + Array(0...255)
    let usual = compressed(Array(bytes), at: nil)
    let hashes = (0..<4).map { first in
      hash(beginning[first..<first + 4].reversed().reduce(0) { $0 << 8 | UInt32($1) })
    }
    let length = Deflater.stateBytes
    var places = 0
    for page in 0x0010_0000...UInt32(0x0010_FFFF) where hashes.contains(hash(page)) {
      let wish = UnsafeMutableRawPointer(bitPattern: UInt(page) << 16)
      let place = mmap(
        wish, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
      guard let place, place != MAP_FAILED else { continue }
      // Not where it was asked for when something else is there.
      if place == wish { places += 1 }
      let isSame = compressed(Array(bytes), at: place) == usual
      #expect(isSame, "at \(place)")
      munmap(place, length)
    }
    #expect(places > 10)
  }

  private func compressed(_ bytes: [UInt8], at place: UnsafeMutableRawPointer?) -> [UInt8] {
    var deflater = Deflater(at: place)
    var packed: [UInt8] = []
    deflater.compress(bytes[..<65_536], isLast: false, onto: &packed)
    deflater.compress(bytes[65_536...], isLast: true, onto: &packed)
    return packed
  }

  /// What ISA-L's kernels for x86 put four bytes by: CRC-32C without its inversions, of which level
  /// 1 takes 13 bits.
  private func hash(_ word: UInt32) -> UInt32 {
    let code = (0..<32).reduce(word) { code, _ in
      code >> 1 ^ (code & 1 == 1 ? 0x82F6_3B78 : 0)
    }
    return code & 0x1FFF
  }
}
