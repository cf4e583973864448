import CKernels
import Testing

/// The peak loops are the denominator of every published figure: what they say that they did is
/// worked out here from what they return, and from what the instructions do by their manuals.
@Suite struct PeakTests {
  /// With a factor of 1 every lane of every chain gains a half in an iteration.
  @Test(arguments: levels) func float32OperationsAreCounted(level: banana_level) {
    func run(_ iterations: Int64) -> (operations: Double, sum: Double) {
      var sink: Float = 1
      let operations = banana_peak_f32(level, iterations, &sink)
      return (operations, Double(sink))
    }
    let (short, long) = (run(10), run(110))
    let multiplyAddsPerIteration = (long.sum - short.sum) / 100 / 0.5
    #expect(multiplyAddsPerIteration >= 32)
    #expect(short.operations == 10 * 2 * multiplyAddsPerIteration)
    #expect(long.operations == 110 * 2 * multiplyAddsPerIteration)
  }

  /// int32 lanes of a register, products that one instruction adds up in each, and what it does to
  /// the first lane.
  private static func instruction(
    _ level: banana_level
  ) -> (lanes: Int, products: Int, step: (Int32, Int32) -> Int32) {
    func signed(_ x: Int32) -> [Int32] { (0..<4).map { (x << Int32(24 - 8 * $0)) >> 24 } }
    func unsigned(_ x: Int32) -> [Int32] { (0..<4).map { (x >> Int32(8 * $0)) & 0xFF } }
    func dot(_ a: [Int32], _ b: [Int32]) -> Int32 { zip(a, b).reduce(0) { $0 &+ $1.0 &* $1.1 } }
    func saturated(_ x: Int32) -> Int32 { max(-32768, min(32767, x)) }
    switch level {
    case BANANA_LEVEL_PORTABLE:
      return (16, 4, { acc, n in acc &+ dot(signed(acc), Array(repeating: n, count: 4)) })
    case BANANA_LEVEL_AVX2:
      return (
        8, 4,
        { acc, n in
          let products = zip(unsigned(n), signed(n ^ acc)).map { $0 &* $1 }
          return acc &+ saturated(products[0] + products[1])
            &+ saturated(products[2] + products[3])
        }
      )
    case BANANA_LEVEL_AVXVNNI: return (8, 4, { $0 &+ dot(unsigned($1), signed($1)) })
    case BANANA_LEVEL_AVX512VNNI, BANANA_LEVEL_AVX512BF16:
      return (16, 4, { $0 &+ dot(unsigned($1), signed($1)) })
    case BANANA_LEVEL_NEON:
      return (4, 2, { $0 &+ dot(Array(signed($0)[..<2]), Array(signed($1)[..<2])) })
    case BANANA_LEVEL_DOTPROD: return (4, 4, { $0 &+ dot(signed($1), signed($1)) })
    default: return (4, 8, { $0 &+ 2 &* dot(signed($1), signed($1)) })
    }
  }

  @Test(arguments: levels) func int8OperationsAreCounted(level: banana_level) {
    let (lanes, products, step) = Self.instruction(level)
    for (iterations, operand) in [(1, 3), (7, 0x0102_7F03), (50, -5)] {
      var sink = Int32(operand)
      let operations = banana_peak_int8(level, Int64(iterations), &sink)
      // Whole instructions, each on a register of its own.
      let chains = operations / Double(iterations * lanes * products * 2)
      #expect(chains == chains.rounded() && chains >= 2)
      var expected: Int32 = 0
      for chain in 0..<Int(chains) {
        var lane = Int32(chain)
        for _ in 0..<iterations { lane = step(lane, Int32(operand)) }
        expected ^= lane
      }
      #expect(sink == expected, "\(iterations) times \(operand)")
    }
  }
}
