/// Pictures at other sizes.
extension PremultipliedImage {
  /// The picture as large as it can be within a frame, in its middle.
  /// - Parameters:
  ///   - frameWidth, frameHeight: Pixels.
  ///   - isOpaqueOutside: Whether what the picture does not cover is opaque black instead of
  ///     clear: what masks want.
  package func fitted(
    intoWidth frameWidth: Int, height frameHeight: Int, isOpaqueOutside: Bool = false
  ) -> PremultipliedImage {
    if width == frameWidth, height == frameHeight { return self }
    // The side that meets the frame first.
    let isWide = width * frameHeight >= height * frameWidth
    let (whole, side) = isWide ? (width, frameWidth) : (height, frameHeight)
    func scaled(_ extent: Int) -> Int { max(1, (extent * side + whole / 2) / whole) }
    let picture = resized(width: scaled(width), height: scaled(height))
    let (left, top) = ((frameWidth - picture.width) / 2, (frameHeight - picture.height) / 2)
    let outside: SIMD4<Float> = isOpaqueOutside ? [0, 0, 0, 1] : .zero
    return PremultipliedImage(width: frameWidth, height: frameHeight) { index in
      let (x, y) = (index % frameWidth - left, index / frameWidth - top)
      let isInside = 0..<picture.width ~= x && 0..<picture.height ~= y
      return isInside ? picture.rgba[y * picture.width + x] : outside
    }
  }

  /// The picture at another size, filtered by triangles as wide as the coarser of both grids, so
  /// that neither edges nor fine patterns alias.
  package func resized(width: Int, height: Int) -> PremultipliedImage {
    precondition(width > 0 && height > 0)
    if width == self.width, height == self.height { return self }
    let columns = Taps.of(from: self.width, to: width)
    let rows = Taps.of(from: self.height, to: height)
    // Lines first: [source height, width].
    let lines = PremultipliedImage(width: width, height: self.height) { index in
      let taps = columns[index % width]
      let from = index / width * self.width + taps.first
      return taps.sum { rgba[from + $0] }
    }
    return PremultipliedImage(width: width, height: height) { index in
      let taps = rows[index / width]
      let from = taps.first * width + index % width
      // Rounding must not lift a colour above its alpha, or alpha above 1.
      let pixel = taps.sum { lines.rgba[from + $0 * width] }
      return pixel.limited(to: min(pixel.w, 1))
    }
  }
}

/// The source pixels that make one target pixel along an axis.
private struct Taps {
  let first: Int
  /// They add up to 1.
  let weights: [Float]

  func sum(_ pixel: (Int) -> SIMD4<Float>) -> SIMD4<Float> {
    var sum = SIMD4<Float>.zero
    for (offset, weight) in weights.enumerated() { sum += weight * pixel(offset) }
    return sum
  }

  static func of(from source: Int, to target: Int) -> [Taps] {
    let scale = Double(source) / Double(target)
    let reach = max(scale, 1)
    return (0..<target).map { index in
      let centre = (Double(index) + 0.5) * scale - 0.5
      let first = max(0, Int((centre - reach).rounded(.up)))
      let last = min(source - 1, Int((centre + reach).rounded(.down)))
      let weights = (first...last).map { max(0, 1 - abs(Double($0) - centre) / reach) }
      let total = weights.reduce(0, +)
      return Taps(first: first, weights: weights.map { Float($0 / total) })
    }
  }
}
