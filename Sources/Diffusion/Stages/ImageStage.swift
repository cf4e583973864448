package import Execution
package import Imaging

/// One part of the way from latents to a file: the decoder, a refiner, an upscaler, and what is
/// done to single pixels alike.
///
/// A stage is run over the tiles of a picture, a band of them at a time (`StagedRows`), and sees
/// around each the halo that its pixels depend on. So the peak of memory is a band, and no seam can
/// be where tiles meet.
package protocol ImageStage {
  var input: ImageFormat { get }
  var output: ImageFormat { get }
  var scale: ImageScale { get }
  /// What is worked on at a time, in input pixels, a multiple of what the scale makes one of.
  var tile: TileSize { get }
  /// Input pixels on each side of an output pixel's own that it depends on.
  var halo: Int { get }

  /// Computes one tile.
  /// - Parameters:
  ///   - window: The tile and its halo. All windows of a picture are of one size: at its edges
  ///     they end with it, and reach further on the other side. So the tile is anywhere in its
  ///     window, and may be less than it even without a halo.
  ///   - tile: What is to be filled, in output pixels of the whole picture.
  func run(_ window: ImageRegion, into tile: ImageRegion) throws(ExecutionError)
}

/// What the channels between two stages are, all f32.
package enum ImageFormat: Hashable, Sendable {
  case latents(channels: Int)
  /// In `0...1`; colours are premultiplied where there is alpha.
  case pixels(ColorChannels)

  package var channels: Int {
    switch self {
    case .latents(let channels): channels
    case .pixels(let format): format.channels
    }
  }
}

/// Output pixels for input pixels along an axis.
package enum ImageScale: Hashable, Sendable {
  case up(Int)
  case down(Int)

  /// - Precondition: `pixels` are a multiple of what becomes one.
  package func applied(to pixels: Int) -> Int {
    switch self {
    case .up(let factor): return pixels * factor
    case .down(let factor):
      precondition(pixels % factor == 0, "\(factor) does not divide \(pixels) pixels")
      return pixels / factor
    }
  }
}

/// Input pixels of a tile; nil is as many as the picture has.
package struct TileSize: Hashable, Sendable {
  package var width: Int?
  package var height: Int?

  package init(width: Int?, height: Int?) {
    self.width = width
    self.height = height
  }

  package static let whole = TileSize(width: nil, height: nil)
  /// Of stages that do the same to each pixel.
  package static let row = TileSize(width: nil, height: 1)
}

/// A rectangle of a picture in memory that a stage reads or fills: `[y, x, channel]` f32.
package struct ImageRegion {
  /// The channels of the first pixel.
  package let base: UnsafeMutablePointer<Float>
  /// Floats from a row to the next.
  package let stride: Int
  package let channels: Int
  /// Where the rectangle is in its picture.
  package let x: Int
  package let y: Int
  package let width: Int
  package let height: Int

  /// - Parameter y: Row of the rectangle.
  package func row(_ y: Int) -> UnsafeMutablePointer<Float> { base + y * stride }

  /// A row of RGBA.
  package func pixels(_ y: Int) -> PixelRows.MutableRow {
    UnsafeMutableRawPointer(row(y)).assumingMemoryBound(to: SIMD4<Float>.self)
  }
}
