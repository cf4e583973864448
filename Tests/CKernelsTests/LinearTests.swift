import CKernels
import CKernelsChecks
import Testing

/// The levels that this processor can run.
let levels = (0..<BANANA_LEVEL_COUNT.rawValue).map { banana_level(rawValue: $0) }
  .filter(banana_level_available)

@Suite struct LinearTests {
  // 1, tile - 1, tile, tile + 1 and k tiles + 3 of every tile in use (2, 4, 5, 6 and 8 rows; 1, 3
  // and 4 blocks of 16).
  static let rows = [1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 19]
  static let outputs = [1, 15, 16, 17, 47, 48, 51, 64, 70]
  static let inputs = [1, 3, 4, 5, 8, 12, 20, 67]

  @Test(arguments: levels) func int8IsExact(level: banana_level) {
    for m in Self.rows {
      for n in Self.outputs {
        for k in Self.inputs {
          let error = banana_check_linear_int8(level, Int32(m), Int32(n), Int32(k))
          #expect(error == 0, "\(m) x \(n) x \(k)")
        }
      }
    }
    #expect(banana_check_linear_int8(level, 33, 100, 1030) == 0)
  }

  @Test(arguments: levels) func int8ConvolutionIsExact(level: banana_level) {
    for (h, w, c, n) in [(1, 1, 4, 16), (3, 5, 4, 3), (6, 7, 12, 40), (8, 8, 32, 70)] {
      let error = banana_check_convolution_int8(level, Int32(h), Int32(w), Int32(c), Int32(n))
      #expect(error == 0, "\(h) x \(w) x \(c) x \(n)")
    }
  }

  @Test(arguments: levels, [32, 64]) func int4IsExact(level: banana_level, group: Int) {
    for m in Self.rows {
      for n in [1, 15, 16, 17, 51] {
        for k in [1, group - 1, group, group + 1, 3 * group + 4] {
          let error = banana_check_linear_int4(
            level, Int32(m), Int32(n), Int32(k), Int32(group))
          #expect(error == 0, "\(m) x \(n) x \(k)")
        }
      }
    }
    // Many rows share unpacked weights, unless there are too many inputs.
    #expect(banana_check_linear_int4(level, 33, 33, 130, Int32(group)) == 0)
    #expect(banana_check_linear_int4(level, 18, 17, 2100, Int32(group)) == 0)
  }

  @Test(arguments: levels) func float32IsWithinRounding(level: banana_level) {
    for m in Self.rows {
      for n in Self.outputs {
        for k in [1, 5, 67] {
          let error = banana_check_linear_f32(level, Int32(m), Int32(n), Int32(k))
          #expect(error <= 1, "\(m) x \(n) x \(k)")
        }
      }
    }
    #expect(banana_check_linear_f32(level, 33, 100, 1030) <= 1)
    #expect(banana_check_convolution_f32(level, 6, 7, 3, 40) <= 1)
    #expect(banana_check_convolution_f32(level, 1, 1, 4, 17) <= 1)
  }

  @Test(arguments: levels, 0..<Int32(BANANA_ACTIVATION_COUNT.rawValue))
  func epilogues(level: banana_level, activation: Int32) {
    for gateRows in [0, 1, 3] as [Int32] {
      for hasResidual in [false, true] {
        for n in [1, 16, 37] as [Int32] {
          for rank in [0, 2, 16] as [Int32] {
            let error = banana_check_epilogue(
              level, 7, n, activation, gateRows, hasResidual, rank)
            #expect(
              error <= 1, "gate \(gateRows), residual \(hasResidual), rank \(rank), n \(n)")
          }
        }
      }
    }
  }
}
