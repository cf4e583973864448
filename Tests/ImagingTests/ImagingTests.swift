import Testing

@testable import Imaging

/// Steele et al. 2014, "Fast Splittable Pseudorandom Number Generators".
struct SplitMix64: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

/// A picture of random pixels, black where it is clear.
func randomPixels(width: Int, height: Int, using random: inout SplitMix64) -> Pixels {
  var bytes = (0..<width * height * 4).map { _ in UInt8.random(in: 0...255, using: &random) }
  for base in stride(from: 0, to: bytes.count, by: 4) {
    if bytes[base] < 60 { bytes[base + 3] = bytes[base] < 30 ? 0 : 255 }
    if bytes[base + 3] == 0 { bytes.replaceSubrange(base..<base + 3, with: [0, 0, 0]) }
  }
  return Pixels(width: width, height: height, bytes: bytes)
}

/// A picture as a decoder puts it out.
func premultiplied(
  width: Int, _ values: [Float], alphaRange: ClosedRange<Float> = 0...1
) -> PremultipliedImage {
  let pixels = stride(from: 0, to: values.count, by: 4).map {
    SIMD4(values[$0], values[$0 + 1], values[$0 + 2], values[$0 + 3])
  }
  let clamped = mapped(pixels) {
    PixelRows.clamp($0, count: pixels.count, alphaRange: alphaRange, into: $1)
  }
  return PremultipliedImage(width: width, height: pixels.count / width, rgba: clamped)
}

/// What a function makes of a row, in as many pixels.
func mapped(
  _ row: [SIMD4<Float>], _ function: (PixelRows.Row, PixelRows.MutableRow) -> Void
) -> [SIMD4<Float>] {
  [SIMD4<Float>](unsafeUninitializedCapacity: row.count) { target, count in
    row.withUnsafeBufferPointer { function($0.baseAddress!, target.baseAddress!) }
    count = row.count
  }
}

@Suite struct PremultipliedImageTests {
  @Test func outputIsClampedAndUnpremultiplied() {
    let image = premultiplied(
      width: 2,
      [
        0.25, 0.5, 0, 0.5, 0.7, 0.7, 0.7, 0,
        -1, 2, .nan, 1.5, .infinity, -.infinity, 0.2, .nan,
      ])
    #expect(image.values == [0.25, 0.5, 0, 0.5, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0])
    let pixels = image.pixels()
    #expect(pixels[0, 0] == Color(red: 128, green: 255, blue: 0, alpha: 128))
    #expect(pixels[1, 0] == .clear)
    #expect(pixels[0, 1] == Color(red: 0, green: 255, blue: 0))
    #expect(pixels[1, 1] == .clear)
  }

  @Test func faintAlphaLeavesNoColour() {
    #expect(premultiplied(width: 1, [0.001, 0.001, 0, 0.001]).pixels()[0, 0] == .clear)
    let faint = premultiplied(width: 1, [0.004, 0.002, 0, 0.004]).pixels()[0, 0]
    #expect(faint == Color(red: 255, green: 128, blue: 0, alpha: 1))
  }

  @Test func pixelsSurviveTheRoundTrip() {
    var random = SplitMix64(state: 3)
    let pixels = randomPixels(width: 31, height: 17, using: &random)
    #expect(PremultipliedImage(pixels).pixels() == pixels)
  }

  @Test func averagingIgnoresTheColourOfClearPixels() {
    let image = premultiplied(
      width: 2,
      [
        1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1,
      ])
    #expect(image.boxAveraged(by: 2).values == [0.5, 0, 0, 0.5])
    #expect(
      image.boxAveraged(by: 2).pixels()[0, 0] == Color(red: 255, green: 0, blue: 0, alpha: 128))
    #expect(image.boxAveraged(by: 1) == image)
  }

  @Test func stretchedAlphaKeepsStraightColours() {
    let stretched = premultiplied(
      width: 4, [0.05, 0, 0, 0.1, 0.25, 0.125, 0, 0.5, 0.9, 0.45, 0, 0.9, 1, 1, 1, 1],
      alphaRange: 0.1...0.9)
    let expected: [Float] = [0, 0, 0, 0, 0.25, 0.125, 0, 0.5, 1, 0.5, 0, 1, 1, 1, 1, 1]
    #expect(zip(stretched.values, expected).allSatisfy { abs($0 - $1) < 1e-6 })
  }

  @Test func averagingMatchesTheDefinition() {
    var random = SplitMix64(state: 4)
    let image = PremultipliedImage(randomPixels(width: 12, height: 6, using: &random))
    let small = image.boxAveraged(by: 3)
    for y in 0..<2 {
      for x in 0..<4 {
        for channel in 0..<4 {
          var sum = 0.0
          for v in 0..<3 {
            for u in 0..<3 {
              sum += Double(image.values[((y * 3 + v) * 12 + x * 3 + u) * 4 + channel])
            }
          }
          let got = Double(small.values[(y * 4 + x) * 4 + channel])
          #expect(abs(got - sum / 9) < 1e-6)
        }
      }
    }
  }

  @Test func compositingOnWhite() {
    let row = premultiplied(width: 3, [0, 0, 0, 0, 0.5, 0, 0, 0.5, 0, 0, 1, 1]).rgba
    var flat = [Float](repeating: .nan, count: 9)
    row.withUnsafeBufferPointer { row in
      flat.withUnsafeMutableBufferPointer {
        PixelRows.composite(row.baseAddress!, on: .white, count: 3, into: $0.baseAddress!)
      }
    }
    var bytes = [UInt8](repeating: 7, count: 9)
    flat.withUnsafeBufferPointer { flat in
      bytes.withUnsafeMutableBufferPointer { PixelRows.quantize(flat, .rgb, into: $0) }
    }
    #expect(bytes == [255, 255, 255, 255, 128, 128, 0, 0, 255])
  }

  /// The rule written out: every alpha of 8 bits and beside it, ties between two colours, and what
  /// rounding leaves just beside them.
  @Test func roundingIsToTheNearest() {
    var pixels: [SIMD4<Float>] = []
    for step in 0...510 {
      let alpha = Float(step) / 510
      for part in 0...20 {
        let tie = (Float(step * part / 20 / 2) + 0.5) / 255 * alpha
        pixels.append([alpha * Float(part) / 20, min(tie, alpha), min(tie.nextDown, alpha), alpha])
      }
    }
    let bytes = PremultipliedImage(width: pixels.count, height: 1, rgba: pixels).pixels().bytes
    for (index, pixel) in pixels.enumerated() {
      let alpha = UInt8(pixel.w * 255 + 0.5)
      let gain = alpha == 0 ? 0 : 255 / pixel.w
      let expected = [pixel.x, pixel.y, pixel.z].map { UInt8(min($0 * gain + 0.5, 255.5)) }
      #expect(Array(bytes[index * 4..<index * 4 + 4]) == expected + [alpha], "\(pixel)")
    }
  }

  @Test func oneNumberOutOfAllIsSeen() {
    for bad in [Float.nan, .infinity, -.infinity, .signalingNaN] {
      var numbers = [Float](repeating: .greatestFiniteMagnitude, count: 1000)
      #expect(PixelRows.areFinite(numbers, count: 1000))
      numbers[977] = bad
      #expect(!PixelRows.areFinite(numbers, count: 1000))
      #expect(PixelRows.areFinite(numbers, count: 977))
    }
  }
}
