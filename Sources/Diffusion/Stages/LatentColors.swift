import Execution
import Imaging
import Models

/// What latents look like at a glance, without the decoder: each of them is a colour, and there is
/// a slope from one to the next.
struct LatentColors: ImageStage {
  let input: ImageFormat
  let output = ImageFormat.pixels(.rgba)
  let scale: ImageScale
  let tile = TileSize.whole
  let halo = 0
  private let factor: Int
  private let colors: [SIMD3<Float>]

  /// - Precondition: The space has colors.
  init(_ space: LatentSpace) {
    guard let colors = space.colors else { preconditionFailure("only the decoder can tell") }
    self.colors = colors
    factor = space.scale
    scale = .up(space.scale)
    input = .latents(channels: space.channels)
  }

  func run(_ window: ImageRegion, into tile: ImageRegion) throws(ExecutionError) {
    let places = (0..<window.height).map { y in
      (0..<window.width).map { color(window.row(y) + $0 * window.channels) }
    }
    for y in 0..<tile.height {
      let row = tile.pixels(y)
      let (above, below, down) = neighbours(of: y, count: window.height)
      for x in 0..<tile.width {
        let (left, right, across) = neighbours(of: x, count: window.width)
        let upper = mix(places[above][left], places[above][right], across)
        let lower = mix(places[below][left], places[below][right], across)
        row[x] = SIMD4(mix(upper, lower, down), 1)
      }
    }
  }

  /// The two latents between which a pixel lies, and how near it is to the second, 0...1.
  private func neighbours(of pixel: Int, count: Int) -> (Int, Int, Float) {
    let place = (Float(pixel) + 0.5) / Float(factor) - 0.5
    let first = Int(place.rounded(.down))
    let last = count - 1
    return (min(max(first, 0), last), min(first + 1, last), place - Float(first))
  }

  private func mix(_ a: SIMD3<Float>, _ b: SIMD3<Float>, _ share: Float) -> SIMD3<Float> {
    a + share * (b - a)
  }

  /// Red, green and blue, 0...1.
  private func color(_ latent: UnsafePointer<Float>) -> SIMD3<Float> {
    var sum = SIMD3<Float>(repeating: 0)
    for (channel, color) in colors.enumerated() { sum += latent[channel] * color }
    let half = SIMD3<Float>(repeating: 0.5)
    var color = half * sum + half
    // NaN is 0.
    color.replace(with: 0, where: .!(color .> 0))
    color.replace(with: 1, where: color .> 1)
    return color
  }
}
