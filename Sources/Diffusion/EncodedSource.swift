import Imaging

/// A picture to change, as the sampler and the decoder's end see it.
struct EncodedSource {
  /// In the denoiser's scale and order.
  let latents: [Float]
  /// Whether nothing of a token's patch is to be drawn anew; empty without a mask.
  let keptTokens: [Bool]
  /// The picture at the size that was asked for, and its mask.
  let kept: (image: PremultipliedImage, mask: PremultipliedImage)?

  func isKept(_ token: Int) -> Bool { !keptTokens.isEmpty && keptTokens[token] }
}

extension EncodedSource {
  /// Tokens whose patch of pixels the mask keeps wholly, row by row.
  /// - Parameters:
  ///   - mask: Of the size of the model's pictures.
  ///   - columns, rows: Tokens.
  static func keptTokens(
    _ mask: PremultipliedImage, columns: Int, rows: Int
  ) -> [Bool] {
    let (width, height) = (mask.width / columns, mask.height / rows)
    var kept = Array(repeating: true, count: columns * rows)
    for y in 0..<height * rows {
      for x in 0..<width * columns where mask.rgba[y * mask.width + x].w < 1 {
        kept[y / height * columns + x / width] = false
      }
    }
    return kept
  }
}
