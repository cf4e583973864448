package import Execution
package import Imaging

/// Averages boxes of pixels: a smaller picture.
package struct BoxAverage: ImageStage {
  package var input: ImageFormat { .pixels(channels) }
  package var output: ImageFormat { input }
  package let halo = 0
  package let factor: Int
  private let channels: ColorChannels
  package var scale: ImageScale { .down(factor) }
  package var tile: TileSize { TileSize(width: nil, height: factor) }

  package init(by factor: Int, _ channels: ColorChannels) {
    precondition(factor > 0)
    self.factor = factor
    self.channels = channels
  }

  package func run(_ window: ImageRegion, into tile: ImageRegion) throws(ExecutionError) {
    switch channels {
    case .rgb:
      PixelRows.average(
        rgb: window.row(0), stride: window.width, factor: factor, count: tile.width,
        into: tile.row(0))
    case .rgba:
      PixelRows.average(
        window.pixels(0), stride: window.width, factor: factor, count: tile.width,
        into: tile.pixels(0))
    }
  }
}

/// Puts back what the mask of an edit keeps, exactly as it was.
struct Completion: ImageStage {
  let input = ImageFormat.pixels(.rgba)
  let output = ImageFormat.pixels(.rgba)
  let scale = ImageScale.up(1)
  let tile = TileSize.row
  let halo = 0
  let kept: PremultipliedImage
  /// Alpha 1 is what is kept; of the size of `kept`, which is the picture's.
  let mask: PremultipliedImage

  func run(_ window: ImageRegion, into tile: ImageRegion) throws(ExecutionError) {
    precondition(window.width == kept.width && mask.width == kept.width)
    let first = window.y * kept.width
    kept.rgba.withUnsafeBufferPointer { kept in
      mask.rgba.withUnsafeBufferPointer { mask in
        PixelRows.blend(
          window.pixels(0), towards: kept.baseAddress! + first, by: mask.baseAddress! + first,
          count: window.width, into: tile.pixels(0))
      }
    }
  }
}

/// Lays the picture over a colour: nothing shows through any more.
package struct Background: ImageStage {
  package let input = ImageFormat.pixels(.rgba)
  package let output = ImageFormat.pixels(.rgb)
  package let scale = ImageScale.up(1)
  package let tile = TileSize.row
  package let halo = 0
  package let color: Color

  package init(_ color: Color) { self.color = color }

  package func run(_ window: ImageRegion, into tile: ImageRegion) throws(ExecutionError) {
    PixelRows.composite(window.pixels(0), on: color, count: window.width, into: tile.row(0))
  }
}
