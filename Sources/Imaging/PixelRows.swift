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
    // Without branches, and never a lane of a vector by itself: half the time. NaN compares with
    // nothing.
    let alphas = UnsafeRawPointer(row).assumingMemoryBound(to: Float.self) + 3
    let madeAlphas = UnsafeMutableRawPointer(target).assumingMemoryBound(to: Float.self) + 3
    for x in 0..<count {
      let read = alphas[x * 4]
      let given: Float = read > 0 ? (read > 1 ? 1 : read) : 0
      let stretched = (given - lowest) * scale
      let bounded: Float = stretched > 0 ? (stretched > 1 ? 1 : stretched) : 0
      let alpha: Float = given > 0 ? bounded : 0
      let gain: Float = given > 0 ? alpha / given : 0
      var color = row[x]
      color.replace(with: 0, where: .!(color .> 0))
      color = color.limited(to: given) * SIMD4(repeating: gain)
      color.replace(with: 0, where: .!(color .> 0))
      target[x] = color.limited(to: alpha)
      madeAlphas[x * 4] = alpha
    }
  }

  /// Whether there is neither NaN nor infinity among `count` numbers.
  package static func areFinite(_ numbers: UnsafePointer<Float>, count: Int) -> Bool {
    var found: UInt32 = 0
    // All of the exponent's bits.
    for index in 0..<count {
      found |= numbers[index].bitPattern & 0x7F80_0000 == 0x7F80_0000 ? 1 : 0
    }
    return found == 0
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
      for base in stride(from: 0, to: row.count, by: 4) {
        quantize(row.baseAddress! + base, into: bytes.baseAddress! + base)
      }
    }
  }

  /// One pixel of RGBA.
  @inline(__always) private static func quantize(
    _ pixel: UnsafePointer<Float>, into bytes: UnsafeMutablePointer<UInt8>
  ) {
    let color = UnsafeRawPointer(pixel).loadUnaligned(as: SIMD4<Float>.self)
    let alpha = pixel[3]
    // Colour under an alpha that rounds to 0 cannot be seen: it is not kept.
    var gain = SIMD4<Float>(repeating: alpha * 255 + 0.5 < 1 ? 0 : 255 / alpha)
    gain.w = 255
    let value = (color * gain + 0.5).limited(to: 255.5)
    // Numbers from 2^23 on are whole: the sum is rounded to the nearest, and taken one back where
    // that was up. Conversions of lanes take twice as long.
    let nearest = value + 0x1p23
    let whole = nearest.replacing(with: nearest - 1, where: (nearest - 0x1p23) .> value)
    let lowest = unsafeBitCast(whole, to: SIMD16<UInt8>.self).evenHalf.evenHalf
    UnsafeMutableRawPointer(bytes).storeBytes(of: lowest, as: SIMD4<UInt8>.self)
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
