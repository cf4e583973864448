import BananaAPI
import BananaSDK
import Foundation
import Imaging

/// A picture that is not what it had to be.
struct PictureDifference {
  /// Of the request, from 0.
  let index: Int
  let isInPixels: Bool
  let description: String

  /// Nil if both files are the same.
  init?(_ file: Data, expected: Data?, index: Int) {
    guard file != expected else { return nil }
    self.index = index
    guard let expected else {
      (isInPixels, description) = (true, "nothing is known of what it had to be")
      return
    }
    do throws(PNGError) {
      let pixels = try PNG.decode(Array(file))
      let due = try PNG.decode(Array(expected))
      let wrong = Self.differences(pixels, due)
      isInPixels = wrong != nil
      description = wrong ?? "the same pixels in other bytes, " + Self.bytes(file, expected)
    } catch {
      (isInPixels, description) = (true, "\(error), \(Self.bytes(file, expected))")
    }
  }

  /// How many pixels differ, where and how much; nil if none.
  private static func differences(_ pixels: Pixels, _ due: Pixels) -> String? {
    guard pixels.width == due.width, pixels.height == due.height else {
      return "\(pixels.width)x\(pixels.height) instead of \(due.width)x\(due.height)"
    }
    var (count, most) = (0, 0)
    var (first, last) = (pixels.height, 0)
    for index in 0..<pixels.width * pixels.height {
      let apart = (0..<4).map {
        abs(Int(pixels.bytes[index * 4 + $0]) - Int(due.bytes[index * 4 + $0]))
      }.max()!
      guard apart > 0 else { continue }
      count += 1
      most = max(most, apart)
      first = min(first, index / pixels.width)
      last = index / pixels.width
    }
    guard count > 0 else { return nil }
    return "\(count) of \(pixels.width * pixels.height) pixels differ, by \(most) of 255 at most, "
      + "in rows \(first) to \(last)"
  }

  private static func bytes(_ file: Data, _ expected: Data) -> String {
    let first = zip(file, expected).enumerated().first { $0.element.0 != $0.element.1 }?.offset
    return "\(file.count) instead of \(expected.count), the first at "
      + "\(first ?? min(file.count, expected.count))"
  }
}

extension RequestKind {
  /// What of `pictures` is not as a calm daemon drew it.
  func differences(of pictures: [GeneratedImage], _ space: Workspace) -> [PictureDifference] {
    pictures.enumerated().compactMap { index, picture in
      PictureDifference(
        picture.png, expected: try? Data(contentsOf: URL(filePath: space.picture(id, index))),
        index: index)
    }
  }
}
