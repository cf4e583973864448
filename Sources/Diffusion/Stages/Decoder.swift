import Execution
import Imaging
import Models

/// The decoder as the first stage: its tile is the whole picture, since each of its tokens sees all
/// others. What a model draws without alpha is opaque.
final class Decoder: ImageStage {
  let input: ImageFormat
  let output = ImageFormat.pixels(.rgba)
  let scale: ImageScale
  let tile = TileSize.whole
  let halo = 0
  /// Of one picture: `latents` in the decoder's own scale, and `pixels`.
  private let session: Session
  private let space: LatentSpace
  private let pixels: PixelFormat
  /// Whether the picture had NaN or infinity, which are shown as nothing.
  private(set) var hasOverflowed = false

  init(_ session: Session, _ space: LatentSpace, _ pixels: PixelFormat) {
    self.session = session
    self.space = space
    self.pixels = pixels
    input = .latents(channels: space.channels)
    scale = .up(space.scale)
  }

  func run(_ window: ImageRegion, into tile: ImageRegion) throws(ExecutionError) {
    let latents = UnsafeBufferPointer(
      start: window.base, count: window.width * window.height * window.channels)
    session.write(
      latents.enumerated().map { index, value in
        let channel = index % space.channels
        return value * space.standardDeviation[channel] + space.mean[channel]
      }, to: "latents")
    try session.run()
    session.withOutput("pixels") { output in
      output.withUnsafeBufferPointer { output in
        hasOverflowed = !PixelRows.areFinite(output.baseAddress!, count: output.count)
        for y in 0..<tile.height { clamp(output, y, into: tile) }
      }
    }
  }

  private func clamp(_ output: UnsafeBufferPointer<Float>, _ y: Int, into tile: ImageRegion) {
    let rowFloats = output.count / tile.height
    let row = output.baseAddress! + y * rowFloats
    switch pixels {
    case .rgb:
      precondition(rowFloats == tile.width * 3)
      PixelRows.clamp(rgb: row, count: tile.width, into: tile.pixels(y))
    case .premultipliedRGBA(let clear, let opaque):
      precondition(rowFloats == tile.width * 4)
      PixelRows.clamp(
        UnsafeRawPointer(row).assumingMemoryBound(to: SIMD4<Float>.self), count: tile.width,
        alphaRange: clear...opaque, into: tile.pixels(y))
    }
  }
}
