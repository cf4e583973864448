/// What is done to pictures a row at a time: `count` pixels of f32 RGBA, premultiplied, unless it
/// is said otherwise.
package enum PixelRows {
  package typealias Row = UnsafePointer<SIMD4<Float>>
  package typealias MutableRow = UnsafeMutablePointer<SIMD4<Float>>

  /// Takes over a decoder's output.
  /// - Parameters:
  ///   - row: Nominally in `0...1`. Alpha is clamped to that, colours to `0...alpha`; NaN becomes
  ///     0.
  ///   - alphaRange: Stretched to `0...1`: what a decoder leaves a little short of clear or of
  ///     opaque becomes so, and colours keep their straight value.
  package static func clamp(
    _ row: Row, count: Int, alphaRange: ClosedRange<Float> = 0...1, into target: MutableRow
  ) {
    let (lowest, scale) = (
      alphaRange.lowerBound, 1 / (alphaRange.upperBound - alphaRange.lowerBound)
    )
    for x in 0..<count {
      var color = row[x]
      // NaN compares with nothing.
      color.replace(with: 0, where: .!(color .> 0))
      let given = min(color.w, 1)
      if given == 0 {
        target[x] = .zero
        continue
      }
      let alpha = min(max((given - lowest) * scale, 0), 1)
      color = color.limited(to: given) * (alpha / given)
      color.w = alpha
      color.replace(with: 0, where: .!(color .> 0))
      target[x] = color.limited(to: alpha)
    }
  }

  /// Takes over the output of a decoder without alpha.
  /// - Parameter row: `[x, 3]`, nominally in `-1...1`, to which it is clamped; NaN becomes -1.
  package static func clamp(
    rgb row: UnsafePointer<Float>, count: Int, into target: MutableRow
  ) {
    for x in 0..<count {
      var color = SIMD4(row[x * 3], row[x * 3 + 1], row[x * 3 + 2], 1)
      color = (color + 1) / 2
      color.replace(with: 0, where: .!(color .> 0))
      target[x] = color.limited(to: 1)
    }
  }

  /// Averages each `factor`×`factor` box of pixels into one of `count`.
  /// - Parameters:
  ///   - rows: The first of `factor` rows.
  ///   - stride: Pixels from one of them to the next.
  package static func average(
    _ rows: Row, stride: Int, factor: Int, count: Int, into target: MutableRow
  ) {
    let weight = 1 / Float(factor * factor)
    for index in 0..<count {
      let corner = rows + index * factor
      var sum = SIMD4<Float>.zero
      for y in 0..<factor {
        for x in 0..<factor { sum += corner[y * stride + x] }
      }
      target[index] = sum * weight
    }
  }

  /// The same for `[x, 3]`.
  package static func average(
    rgb rows: UnsafePointer<Float>, stride: Int, factor: Int, count: Int,
    into target: UnsafeMutablePointer<Float>
  ) {
    let weight = 1 / Float(factor * factor)
    for index in 0..<count * 3 {
      let corner = rows + index / 3 * factor * 3 + index % 3
      var sum: Float = 0
      for y in 0..<factor {
        for x in 0..<factor { sum += corner[(y * stride + x) * 3] }
      }
      target[index] = sum * weight
    }
  }

  /// Blends each pixel towards `other`'s by the alpha of `mask`; where that is 1, exactly to it.
  package static func blend(
    _ row: Row, towards other: Row, by mask: Row, count: Int, into target: MutableRow
  ) {
    for x in 0..<count {
      let alpha = mask[x].w
      target[x] = alpha == 1 ? other[x] : alpha * other[x] + (1 - alpha) * row[x]
    }
  }

  /// Lays a row over an opaque `background`; what comes of it is RGB.
  /// Porter and Duff 1984, "Compositing Digital Images", the operator "over".
  package static func composite(
    _ row: Row, on background: Color, count: Int, into target: UnsafeMutablePointer<Float>
  ) {
    let color =
      SIMD4(Float(background.red), Float(background.green), Float(background.blue), 255) / 255
    for x in 0..<count {
      let pixel = (row[x] + (1 - row[x].w) * color).limited(to: 1)
      target[x * 3] = pixel.x
      target[x * 3 + 1] = pixel.y
      target[x * 3 + 2] = pixel.z
    }
  }

  /// Rounds f32 in `0...1` to the nearest of 8 bits with straight alpha; clear pixels are black.
  /// - Parameters:
  ///   - row: `[x, channel]`, alpha premultiplied if there is any.
  ///   - bytes: As many.
  package static func quantize(
    _ row: UnsafeBufferPointer<Float>, _ format: ColorChannels,
    into bytes: UnsafeMutableBufferPointer<UInt8>
  ) {
    precondition(row.count == bytes.count)
    switch format {
    case .rgb:
      for index in 0..<row.count { bytes[index] = UInt8(min(row[index] * 255 + 0.5, 255.5)) }
    case .rgba:
      let pixels = UnsafeRawBufferPointer(row)
      for base in stride(from: 0, to: row.count, by: 4) {
        let pixel = pixels.loadUnaligned(fromByteOffset: base * 4, as: SIMD4<Float>.self)
        // Colour under an alpha that rounds to 0 cannot be seen: it is not kept.
        let alpha = UInt8(pixel.w * 255 + 0.5)
        let gain = alpha == 0 ? 0 : 255 / pixel.w
        let straight = (pixel * gain + 0.5).limited(to: 255.5)
        bytes[base] = UInt8(straight.x)
        bytes[base + 1] = UInt8(straight.y)
        bytes[base + 2] = UInt8(straight.z)
        bytes[base + 3] = alpha
      }
    }
  }
}

extension SIMD4<Float> {
  /// Each number, or `limit` if that is less. The standard library's `pointwiseMin` goes lane by
  /// lane and takes four times as long.
  @inline(__always) func limited(to limit: Float) -> SIMD4<Float> {
    let limit = SIMD4(repeating: limit)
    return replacing(with: limit, where: self .> limit)
  }
}
