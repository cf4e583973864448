/// Pictures at other sizes.
extension PremultipliedImage {
  /// The picture as large as it can be within a square, in its middle.
  /// - Parameters:
  ///   - side: Pixels on a side of the square.
  ///   - isOpaqueOutside: Whether what the picture does not cover is opaque black instead of
  ///     clear: what masks want.
  package func fitted(into side: Int, isOpaqueOutside: Bool = false) -> PremultipliedImage {
    if width == side, height == side { return self }
    let longest = max(width, height)
    func scaled(_ extent: Int) -> Int { max(1, (extent * side + longest / 2) / longest) }
    let picture = resized(width: scaled(width), height: scaled(height))
    let (left, top) = ((side - picture.width) / 2, (side - picture.height) / 2)
    return PremultipliedImage(width: side, height: side) { target in
      if isOpaqueOutside {
        for base in stride(from: 3, to: target.count, by: 4) { target[base] = 1 }
      }
      for y in 0..<picture.height {
        let from = y * picture.width * 4
        let row = picture.values[from..<from + picture.width * 4]
        let to = ((y + top) * side + left) * 4
        for (offset, value) in row.enumerated() { target[to + offset] = value }
      }
    }
  }

  /// The picture at another size, filtered by triangles as wide as the coarser of both grids, so
  /// that neither edges nor fine patterns alias.
  package func resized(width: Int, height: Int) -> PremultipliedImage {
    precondition(width > 0 && height > 0)
    if width == self.width, height == self.height { return self }
    let columns = Taps.of(from: self.width, to: width)
    let rows = Taps.of(from: self.height, to: height)
    let source = values
    let sourceWidth = self.width
    // Lines first: [source height, width, 4].
    let lines = [Float](unsafeUninitializedCapacity: self.height * width * 4) { target, count in
      target.initialize(repeating: 0)
      for y in 0..<self.height {
        for (x, taps) in columns.enumerated() {
          for (offset, weight) in taps.weights.enumerated() {
            let from = (y * sourceWidth + taps.first + offset) * 4
            let to = (y * width + x) * 4
            for channel in 0..<4 { target[to + channel] += weight * source[from + channel] }
          }
        }
      }
      count = target.count
    }
    return PremultipliedImage(width: width, height: height) { target in
      for (y, taps) in rows.enumerated() {
        for (offset, weight) in taps.weights.enumerated() {
          let from = (taps.first + offset) * width * 4
          let to = y * width * 4
          for index in 0..<width * 4 { target[to + index] += weight * lines[from + index] }
        }
      }
      // Rounding must not lift a colour above its alpha, or alpha above 1.
      for base in stride(from: 0, to: target.count, by: 4) {
        target[base + 3] = min(target[base + 3], 1)
        for channel in 0..<3 {
          target[base + channel] = min(target[base + channel], target[base + 3])
        }
      }
    }
  }

  /// The picture with every pixel blended towards `other`'s by the alpha of `mask`; where that is
  /// 1, exactly the other's. All are of one size.
  package func replaced(
    by other: PremultipliedImage, where mask: PremultipliedImage
  ) -> PremultipliedImage {
    precondition(
      [other.width, mask.width] == [width, width]
        && [other.height, mask.height] == [height, height])
    return PremultipliedImage(width: width, height: height) { target in
      for index in target.indices {
        let alpha = mask.values[index | 3]
        target[index] =
          alpha == 1
          ? other.values[index] : alpha * other.values[index] + (1 - alpha) * values[index]
      }
    }
  }
}

/// The source pixels that make one target pixel along an axis.
private struct Taps {
  let first: Int
  /// They add up to 1.
  let weights: [Float]

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
