import Diffusion
import Execution
import Imaging
import TensorTypes

/// A picture of ramps and noise that is nowhere whole.
final class SyntheticRows: RowSource {
  let width: Int
  let height: Int
  let format = ImageFormat.pixels(.rgb)
  private let row: HostBuffer
  private var given = 0
  private var noise: UInt32 = 1

  init(width: Int, height: Int) throws {
    self.width = width
    self.height = height
    row = try HostBuffer(allocating: width * 3 * MemoryLayout<Float>.stride)
  }

  func next(atMost count: Int) throws(ExecutionError) -> UnsafeBufferPointer<Float> {
    guard given < height, count > 0 else { return UnsafeBufferPointer(start: nil, count: 0) }
    let floats = row.floats
    let ramp = Float(given) / Float(height)
    for index in floats.indices {
      noise = noise &* 1_664_525 &+ 1_013_904_223
      let grain = Float(noise >> 24) / 4096
      floats[index] = (ramp + Float(index) / Float(floats.count)) * 0.45 + grain
    }
    given += 1
    return UnsafeBufferPointer(floats)
  }
}

/// The mean of 5x5 pixels, of fewer at the picture's edges.
struct Blur: ImageStage {
  let input = ImageFormat.pixels(.rgb)
  let output = ImageFormat.pixels(.rgb)
  let scale = ImageScale.up(1)
  let tile = TileSize(width: 96, height: 64)
  let halo = 2

  func run(_ window: ImageRegion, into tile: ImageRegion) throws(ExecutionError) {
    for y in 0..<tile.height {
      let row = tile.y - window.y + y
      let rows = max(row - halo, 0)...min(row + halo, window.height - 1)
      let target = tile.row(y)
      for x in 0..<tile.width {
        let column = tile.x - window.x + x
        let columns = max(column - halo, 0)...min(column + halo, window.width - 1)
        let weight = 1 / Float(rows.count * columns.count)
        var (red, green, blue): (Float, Float, Float) = (0, 0, 0)
        for v in rows {
          let source = window.row(v)
          for u in columns {
            red += source[u * 3]
            green += source[u * 3 + 1]
            blue += source[u * 3 + 2]
          }
        }
        target[x * 3] = red * weight
        target[x * 3 + 1] = green * weight
        target[x * 3 + 2] = blue * weight
      }
    }
  }
}

/// Each pixel as a square.
struct Enlargement: ImageStage {
  let input = ImageFormat.pixels(.rgb)
  let output = ImageFormat.pixels(.rgb)
  let factor: Int
  var scale: ImageScale { .up(factor) }
  let tile = TileSize(width: 128, height: 16)
  let halo = 0

  func run(_ window: ImageRegion, into tile: ImageRegion) throws(ExecutionError) {
    let (left, top) = (tile.x / factor - window.x, tile.y / factor - window.y)
    for y in 0..<tile.height / factor {
      let (source, first) = (window.row(top + y), tile.row(y * factor))
      var place = 0
      for x in left..<left + tile.width / factor {
        for _ in 0..<factor {
          for channel in 0..<3 { first[place + channel] = source[x * 3 + channel] }
          place += 3
        }
      }
      for copy in 1..<factor { (first + copy * tile.stride).update(from: first, count: place) }
    }
  }
}
