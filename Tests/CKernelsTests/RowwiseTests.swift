import CKernels
import CKernelsChecks
import Testing

@Suite struct RowwiseTests {
  static let widths = [1, 3, 15, 16, 17, 31, 32, 33, 67] as [Int32]

  @Test(arguments: levels, [(false, 0), (true, 0), (false, -126), (true, -80)] as [(Bool, Int32)])
  func quantizationIsBitExact(level: banana_level, form: (smooth: Bool, zero: Int32)) {
    for k in Self.widths {
      #expect(banana_check_quantize(level, 15, k, form.smooth, form.zero) == 0, "k \(k)")
    }
  }

  @Test(arguments: levels, [false, true])
  func norms(level: banana_level, modulated: Bool) {
    for n in Self.widths.dropFirst() {
      for subtractMean in [false, true] {
        let error = banana_check_norm(level, 7, n, subtractMean, modulated)
        #expect(error <= 1, "n \(n), mean \(subtractMean)")
      }
    }
  }

  @Test(arguments: levels) func headNorm(level: banana_level) {
    for (width, stretch) in [(4, 2), (12, 6), (32, 32), (64, 32), (100, 50)] as [(Int32, Int32)] {
      #expect(banana_check_head_norm(level, 5, 3, width, stretch) <= 1, "\(width)/\(stretch)")
    }
  }

  @Test(arguments: levels) func attention(level: banana_level) {
    for queries in [1, 5, 8, 9, 19] as [Int32] {
      for width in [4, 16, 20, 64, 128] as [Int32] {
        let error = banana_check_attention(level, queries, 7, 30, 6, 2, width)
        #expect(error <= 1, "\(queries) queries of \(width)")
      }
    }
    #expect(banana_check_attention(level, 3, 16, 1, 2, 2, 16) <= 1)
    #expect(banana_check_attention(level, 3, 64, 500, 1, 1, 32) <= 1)
  }

  /// The heads of Stable Diffusion's networks, over more keys than are packed at a time, and over
  /// tiles in which a query sees nothing.
  @Test(arguments: levels, [(40, 1700), (80, 900), (160, 500), (512, 300)] as [(Int32, Int32)])
  func attentionInTiles(level: banana_level, size: (width: Int32, keys: Int32)) {
    let (width, keys) = size
    #expect(banana_check_attention(level, 9, 77, keys, 4, 2, width) <= 1)
    #expect(banana_check_attention(level, keys, 9, keys, 1, 1, width) <= 1)
  }

  /// Odd sizes; hidden keys; queries that are all but sure of one key and such that mix all; tokens
  /// far larger than others.
  @Test(arguments: levels, [(2, 1), (16, 1), (2, 30), (60, 10)] as [(Float, Float)])
  func attentionInBF16(level: banana_level, scores: (distance: Float, outlier: Float)) {
    for (queries, text, latents, heads, keyValueHeads, width) in [
      (1, 1, 2, 1, 1, 6), (5, 7, 30, 6, 2, 5), (19, 3, 19, 2, 1, 16), (33, 16, 64, 6, 2, 20),
      (70, 77, 51, 2, 1, 40), (64, 1, 140, 1, 1, 64), (65, 5, 300, 1, 1, 80),
      (9, 77, 180, 1, 1, 160), (3, 2, 150, 1, 1, 512), (17, 4, 17, 2, 2, 33),
    ] as [(Int32, Int32, Int32, Int32, Int32, Int32)] {
      let error = banana_check_attention_bf16(
        level, queries, text, latents, heads, keyValueHeads, width, scores.distance,
        scores.outlier)
      #expect(error <= 1, "\(queries) queries over \(text) + \(latents) of \(width)")
    }
  }

  @Test(arguments: levels) func groupNorms(level: banana_level) {
    for (rows, n, groups) in [
      (1, 3, 1), (2, 20, 5), (7, 32, 32), (257, 48, 3), (515, 96, 4), (40, 2560, 32),
    ] as [(Int32, Int32, Int32)] {
      #expect(banana_check_group_norm(level, rows, n, groups) <= 1, "\(rows) x \(n)/\(groups)")
    }
  }

  @Test(arguments: levels, 0..<Int32(BANANA_ACTIVATION_COUNT.rawValue))
  func activations(level: banana_level, activation: Int32) {
    #expect(banana_check_activation(level, activation) <= 1)
    for count in Self.widths {
      #expect(banana_check_gated_activation(level, count, activation) <= 1, "\(count)")
    }
  }

  @Test(arguments: levels) func elementwise(level: banana_level) {
    for count in Self.widths { #expect(banana_check_elementwise(level, count) == 0) }
  }
}

@Suite struct LayoutTests {
  @Test func packing() {
    for (n, k) in [(1, 1), (15, 3), (16, 4), (17, 5), (35, 67)] as [(Int32, Int32)] {
      #expect(banana_check_pack(n, k) == 0, "\(n) x \(k)")
    }
  }

  @Test func embeddings() { #expect(banana_check_embedding(5, 64) == 0) }

  @Test func pixels() {
    for factor in [1, 2, 4, 8] as [Int32] { #expect(banana_check_pixels(4, 3, 5, factor) == 0) }
  }

  @Test func patches() {
    for (h, w, k) in [(1, 1, 3), (2, 1, 3), (5, 4, 3), (5, 4, 1), (3, 3, 5)]
      as [(Int32, Int32, Int32)]
    {
      for (stride, upsampling) in [(1, 1), (2, 1), (1, 2), (3, 2)] as [(Int32, Int32)] {
        for padding in [0, k / 2] {
          #expect(
            banana_check_patches(h, w, k, k, padding, stride, upsampling) == 0,
            "\(h) x \(w), kernel \(k), \(padding), \(stride), \(upsampling)")
        }
      }
    }
    #expect(banana_check_patches(4, 5, 1, 3, 1, 1, 1) == 0)
  }
}

@Suite struct DispatchTests {
  @Test func theBestLevelIsAvailable() {
    #expect(banana_level_available(banana_level_best()))
    #expect(banana_kernels_for(BANANA_LEVEL_PORTABLE) != nil)
    #expect(banana_kernels_for(banana_level(rawValue: 99)) == nil)
  }
}
