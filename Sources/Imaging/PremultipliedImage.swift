/// A picture of f32 channels, RGBA with premultiplied alpha: the form in which pictures are
/// averaged and laid over one another.
///
/// Always `0 <= colour <= alpha <= 1`: what a network puts outside is clamped on the way in
/// (`PixelRows.clamp`).
package struct PremultipliedImage: Equatable, Sendable {
  package let width: Int
  package let height: Int
  /// `[height, width]` of red, green, blue and alpha.
  package let rgba: [SIMD4<Float>]

  /// `[height, width, 3]` in `-1...1`, the picture laid over white: a copy for a network's input.
  package var rgbValues: [Float] {
    rgba.flatMap { pixel in
      let color = 2 * (pixel + (1 - pixel.w)).limited(to: 1) - 1
      return [color.x, color.y, color.z]
    }
  }

  package init(_ pixels: Pixels) {
    self = pixels.bytes.withUnsafeBufferPointer { bytes in
      PremultipliedImage(width: pixels.width, height: pixels.height) { index in
        let base = index * 4
        let alpha = Float(bytes[base + 3]) / 255
        let straight = SIMD4(
          Float(bytes[base]), Float(bytes[base + 1]), Float(bytes[base + 2]), 255)
        return straight / 255 * alpha
      }
    }
  }

  /// - Parameter rgba: `[height, width]`, within the bounds.
  package init(width: Int, height: Int, rgba: [SIMD4<Float>]) {
    precondition(width > 0 && height > 0 && rgba.count == width * height)
    self.width = width
    self.height = height
    self.rgba = rgba
  }

  /// - Parameter pixel: Called for each one, line by line.
  init(width: Int, height: Int, pixel: (Int) -> SIMD4<Float>) {
    self.width = width
    self.height = height
    rgba = Array(unsafeUninitializedCapacity: width * height) { target, count in
      for index in 0..<target.count { target.initializeElement(at: index, to: pixel(index)) }
      count = target.count
    }
  }

  /// `[height, width, 4]`: a copy for a network's input.
  package var values: [Float] {
    rgba.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
  }

  /// Whether a part was cut out of the picture, to be drawn anew: it is clear somewhere, and not as
  /// the ground around a cut-out thing is, which most of the border shows. All clear is all hole.
  package var hasHole: Bool {
    guard rgba.contains(where: { $0.w == 0 }) else { return false }
    let sides = (0..<height).flatMap { [$0 * width, $0 * width + width - 1] }
    let ends = (0..<width).flatMap { [$0, (height - 1) * width + $0] }
    let clear = (sides + ends).count { rgba[$0].w < 0.5 }
    return clear <= width + height || rgba.allSatisfy { $0.w == 0 }
  }

  /// The picture with each `factor`×`factor` box of pixels averaged into one.
  /// - Precondition: `factor` divides both sizes.
  package func boxAveraged(by factor: Int) -> PremultipliedImage {
    precondition(factor > 0 && width % factor == 0 && height % factor == 0)
    if factor == 1 { return self }
    let (smallWidth, smallHeight) = (width / factor, height / factor)
    let averaged = [SIMD4<Float>](
      unsafeUninitializedCapacity: smallWidth * smallHeight
    ) { target, count in
      rgba.withUnsafeBufferPointer { source in
        for y in 0..<smallHeight {
          PixelRows.average(
            source.baseAddress! + y * factor * width, stride: width, factor: factor,
            count: smallWidth, into: target.baseAddress! + y * smallWidth)
        }
      }
      count = smallWidth * smallHeight
    }
    return PremultipliedImage(width: smallWidth, height: smallHeight, rgba: averaged)
  }

  /// The picture in 8 bits with straight alpha.
  package func pixels() -> Pixels {
    let bytes = [UInt8](unsafeUninitializedCapacity: rgba.count * 4) { target, count in
      count = rgba.count * 4
      rgba.withUnsafeBytes { source in
        PixelRows.quantize(
          source.assumingMemoryBound(to: Float.self), .rgba,
          into: UnsafeMutableBufferPointer(rebasing: target[..<count]))
      }
    }
    return Pixels(width: width, height: height, bytes: bytes)
  }
}
