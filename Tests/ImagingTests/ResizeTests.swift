import Testing

@testable import Imaging

@Suite struct ResizeTests {
  private func picture(_ width: Int, _ height: Int, seed: UInt64 = 1) -> PremultipliedImage {
    var random = SplitMix64(state: seed)
    return PremultipliedImage(randomPixels(width: width, height: height, using: &random))
  }

  @Test func theSameSizeChangesNothing() {
    let picture = picture(9, 7)
    #expect(picture.resized(width: 9, height: 7) == picture)
    #expect(self.picture(8, 8).fitted(intoWidth: 8, height: 8) == self.picture(8, 8))
  }

  @Test(arguments: [(3, 5), (40, 8), (16, 64), (1, 1), (100, 3)])
  func oneColourStaysOneColour(size: (width: Int, height: Int)) {
    let color = Color(red: 200, green: 100, blue: 50, alpha: 128)
    let flat = PremultipliedImage(Pixels(width: 16, height: 8, filledWith: color))
    let resized = flat.resized(width: size.width, height: size.height)
    #expect(resized.width == size.width && resized.height == size.height)
    for (index, value) in resized.values.enumerated() {
      #expect(abs(value - flat.values[index % 4]) < 1e-5)
    }
  }

  @Test func valuesStayWithinTheirBounds() {
    for (width, height) in [(5, 31), (64, 64), (2, 2)] {
      let resized = picture(17, 13).resized(width: width, height: height)
      for base in stride(from: 0, to: resized.values.count, by: 4) {
        let alpha = resized.values[base + 3]
        #expect(alpha >= 0 && alpha <= 1)
        #expect(resized.values[base..<base + 3].allSatisfy { $0 >= 0 && $0 <= alpha })
      }
    }
  }

  /// Halving averages with weights 1, 3, 3, 1; the mean of a picture stays.
  @Test func halvingKeepsTheMean() {
    let wide = picture(64, 64)
    let half = wide.resized(width: 32, height: 32)
    let mean = { (image: PremultipliedImage) in
      image.values.reduce(0, +) / Float(image.values.count)
    }
    #expect(abs(mean(wide) - mean(half)) < 0.01)
  }

  @Test func whatIsNotSquareIsCentred() {
    let color = Color(red: 255, green: 0, blue: 0)
    let wide = PremultipliedImage(Pixels(width: 20, height: 10, filledWith: color))
    let fitted = wide.fitted(intoWidth: 8, height: 8).pixels()
    #expect(fitted[0, 1] == .clear && fitted[7, 6] == .clear)
    #expect(fitted[0, 2] == color && fitted[7, 5] == color)
    let mask = wide.fitted(intoWidth: 8, height: 8, isOpaqueOutside: true).pixels()
    #expect(mask[0, 0].alpha == 255 && mask[7, 7].alpha == 255)
    #expect(wide.fitted(intoWidth: 1, height: 1).width == 1)
  }

  @Test func framesNeedNotBeSquare() {
    let color = Color(red: 0, green: 255, blue: 0)
    let wide = PremultipliedImage(Pixels(width: 20, height: 10, filledWith: color))
    let low = wide.fitted(intoWidth: 32, height: 8).pixels()
    #expect(low.width == 32 && low.height == 8)
    #expect(
      low[7, 0] == .clear && low[8, 0] == color && low[23, 7] == color && low[24, 7] == .clear)
    let high = wide.fitted(intoWidth: 8, height: 20).pixels()
    #expect(high[0, 7] == .clear && high[0, 8] == color && high[7, 11] == color)
    #expect(wide.fitted(intoWidth: 20, height: 10) == wide)
  }

  @Test func aMaskTellsWhoseAPixelIs() {
    let (a, b) = (picture(4, 2, seed: 2), picture(4, 2, seed: 3))
    var mask = Pixels(width: 4, height: 2, filledWith: .white)
    mask.bytes[3] = 0
    let alphas = PremultipliedImage(mask).rgba
    let mixed = b.rgba.withUnsafeBufferPointer { b in
      alphas.withUnsafeBufferPointer { mask in
        mapped(a.rgba) {
          PixelRows.blend($0, towards: b.baseAddress!, by: mask.baseAddress!, count: 8, into: $1)
        }
      }
    }
    #expect(mixed[0] == a.rgba[0] && mixed[1...] == b.rgba[1...])
  }
}
