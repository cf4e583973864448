import CPUBackend
import Execution
import Imaging
import Models
import TensorTypes
import Testing

@testable import Diffusion

/// Stages over tiles make the picture that they make of the whole.
@Suite struct StageTests {
  /// A convolution with zeros around the picture, of weights that differ everywhere.
  private struct Convolution: ImageStage {
    let input = ImageFormat.pixels(.rgb)
    let output = ImageFormat.pixels(.rgb)
    let scale = ImageScale.up(1)
    var tile: TileSize
    let radius: Int
    var halo: Int

    func run(_ window: ImageRegion, into tile: ImageRegion) throws(ExecutionError) {
      for y in 0..<tile.height {
        for x in 0..<tile.width {
          let (row, column) = (tile.y - window.y + y, tile.x - window.x + x)
          let target = tile.row(y) + x * 3
          for channel in 0..<3 { target[channel] = 0 }
          for v in max(row - radius, 0)...min(row + radius, window.height - 1) {
            let source = window.row(v)
            for u in max(column - radius, 0)...min(column + radius, window.width - 1) {
              let divisor = Float(40 + (v - row) * 7 + (u - column) * 3)
              for channel in 0..<3 { target[channel] += source[u * 3 + channel] / divisor }
            }
          }
        }
      }
    }
  }

  /// Each pixel as a square whose pixels differ.
  private struct Enlargement: ImageStage {
    let input = ImageFormat.pixels(.rgb)
    let output = ImageFormat.pixels(.rgb)
    let factor: Int
    let tile: TileSize
    var scale: ImageScale { .up(factor) }
    let halo = 0

    func run(_ window: ImageRegion, into tile: ImageRegion) throws(ExecutionError) {
      for y in 0..<tile.height {
        for index in 0..<tile.width * 3 {
          let (x, channel) = (index / 3, index % 3)
          let (row, column) = (
            (tile.y + y) / factor - window.y, (tile.x + x) / factor - window.x
          )
          let pixel = window.row(row)[column * 3 + channel]
          tile.row(y)[index] = pixel / Float(1 + (tile.y + y) % factor + (tile.x + x) % factor)
        }
      }
    }
  }

  private func values(_ count: Int, seed: UInt64 = 1) throws -> [Float] {
    [Float](unsafeUninitializedCapacity: count) { target, filled in
      let whole = UnsafeMutableBufferPointer(rebasing: target[..<count])
      Philox(seed: seed).fillNormal(whole)
      for index in whole.indices { whole[index] = min(abs(whole[index]) / 3, 1) }
      filled = count
    }
  }

  private func picture(_ width: Int, _ height: Int) throws -> StoredRows {
    try StoredRows(
      width: width, height: height, format: .pixels(.rgb), values: values(width * height * 3))
  }

  private static let sizes = [(1, 1), (2, 3), (13, 11), (33, 6), (5, 40)]
  private static let tiles: [TileSize] = [
    TileSize(width: 1, height: 1), TileSize(width: 3, height: 2), TileSize(width: 7, height: 5),
    TileSize(width: 32, height: 39), TileSize(width: nil, height: 4),
    TileSize(width: 5, height: nil), .row,
  ]

  @Test(arguments: [1, 2], [0, 1, 3])
  func tilesLeaveNoSeams(radius: Int, excess: Int) throws {
    for (width, height) in Self.sizes {
      let whole = try picture(width, height).through(
        Convolution(tile: .whole, radius: radius, halo: radius)
      ).values()
      for tile in Self.tiles {
        let tiled = try picture(width, height)
        let stage = Convolution(tile: tile, radius: radius, halo: radius + excess)
        #expect(try tiled.through(stage).values() == whole, "\(width)x\(height), \(tile)")
      }
    }
  }

  /// The comparison above can fail.
  @Test func aHaloThatIsTooSmallShows() throws {
    let whole = try picture(13, 11).through(Convolution(tile: .whole, radius: 2, halo: 2)).values()
    let stage = Convolution(tile: TileSize(width: 7, height: 5), radius: 2, halo: 1)
    #expect(try picture(13, 11).through(stage).values() != whole)
  }

  @Test func stagesBehindEachOtherLeaveNoSeams() throws {
    func made(_ tile: TileSize) throws -> [Float] {
      try picture(13, 11).through(Convolution(tile: tile, radius: 2, halo: 2))
        .through(Enlargement(factor: 4, tile: tile))
        .through(Convolution(tile: tile, radius: 1, halo: 1))
        .through(Enlargement(factor: 2, tile: tile)).values()
    }
    let whole = try made(.whole)
    #expect(whole.count == 13 * 8 * 11 * 8 * 3)
    for tile in Self.tiles { #expect(try made(tile) == whole, "\(tile)") }
  }

  /// A band is what tiles and halos make it, not what the picture does.
  @Test func bandsDoNotGrowWithThePicture() throws {
    let stage = Convolution(tile: TileSize(width: 8, height: 16), radius: 2, halo: 2)
    let heights = [40, 4000].map { height in
      StagedRows(EndlessRows(width: 10, height: height), stage).bandBytes
    }
    #expect(heights == [36 * 10 * 3 * 4, 36 * 10 * 3 * 4])
  }

  private final class EndlessRows: RowSource {
    let width: Int
    let height: Int
    let format = ImageFormat.pixels(.rgb)

    init(width: Int, height: Int) {
      self.width = width
      self.height = height
    }

    func next(atMost count: Int) -> UnsafeBufferPointer<Float> {
      UnsafeBufferPointer(start: nil, count: 0)
    }
  }

  @Test func pixelStagesAreTheirDefinitions() throws {
    let random = try values(24 * 12 * 4)
    var pixels = Pixels(width: 24, height: 12, filledWith: .white)
    for index in pixels.bytes.indices { pixels.bytes[index] = UInt8(random[index] * 255) }
    let image = PremultipliedImage(pixels)
    func rows(_ image: PremultipliedImage) throws -> StoredRows {
      try StoredRows(
        width: image.width, height: image.height, format: .pixels(.rgba), values: image.values)
    }
    for factor in [1, 2, 3, 4, 12] {
      let small = try rows(image).through(BoxAverage(by: factor, .rgba))
      #expect(try small.whole() == image.boxAveraged(by: factor))
    }

    let white = PremultipliedImage(Pixels(width: 24, height: 12, filledWith: .white))
    var mask = Pixels(width: 24, height: 12, filledWith: .white)
    for index in stride(from: 3, to: mask.bytes.count, by: 12) { mask.bytes[index] = 0 }
    let completed = try rows(image).through(
      Completion(kept: white, mask: PremultipliedImage(mask))
    ).whole()
    for index in image.rgba.indices {
      #expect(completed.rgba[index] == (index % 3 == 0 ? image : white).rgba[index])
    }

    let flat = try rows(image).through(Background(.white))
    #expect(flat.colorChannels == .rgb)
    let colours = try flat.values()
    for (index, pixel) in image.rgba.enumerated() {
      #expect(colours[index * 3] == min(pixel.x + (1 - pixel.w), 1))
    }
  }

  /// What is read of a picture in rows is what it is in one piece, and what its file has.
  @Test(arguments: [64, 32]) func filesHaveTheDecodersPixels(size: Int) throws {
    let model = try Goldens.tiny().model
    let pipeline = Pipeline(model, backend: CPUBackend(threadCount: 1), activations: .float32)
    func conditioning(_ size: Int) throws -> Conditioning {
      try pipeline.prepare(PictureRequest(prompt: "x", size: .square(size)))
    }
    let offered = try #require(model.facts.offered(.square(size)))
    let places = model.facts.extents(of: offered)
    let latents = try values(
      places.width * places.height * model.facts.latents.channels, seed: 5)
    let native = try pipeline.decode(latents, of: conditioning(64)).whole()
    let picture = try pipeline.decode(latents, of: conditioning(size))
    var writer = try PNGWriter(width: size, height: size, format: picture.colorChannels)
    while try picture.writeNext(to: &writer) {}
    let pixels = try PNG.decode(writer.finish())
    #expect(pixels == native.boxAveraged(by: 64 / size).pixels())
    #expect(!pipeline.hasOverflowed)
  }
}
