import BananaAPI
import BananaSDK
import Foundation
import Imaging

/// Draws every kind of request one at a time, before anybody else is there.
struct ReferencePictures {
  let space: Workspace
  let client: BananaClient

  /// - Throws: `BananaError`, or `SoakError` if a second drawing differs.
  func draw(_ kinds: [RequestKind]) async throws {
    for kind in kinds {
      let pictures = try await pictures(of: kind)
      for (index, picture) in pictures.enumerated() {
        try write(picture.png, to: space.picture(kind.id, index))
        if kind.id == RequestKind.smallest {
          try write(picture.png, to: space.editImage)
          try write(mask(width: 256, height: 256), to: space.editMask)
        }
      }
      let again = try await self.pictures(of: kind)
      guard kind.isDrawn(by: again, space) else {
        throw SoakError("a calm daemon draws kind \(kind.id) differently the second time")
      }
    }
  }

  private func pictures(of kind: RequestKind) async throws -> [GeneratedImage] {
    if let edit = try kind.imageEdit(kind.request, space) {
      return try await client.edit(edit).data
    }
    return try await client.generate(kind.request).data
  }

  private func write(_ data: Data, to path: String) throws {
    try data.write(to: URL(filePath: path))
    chmod(path, 0o644)
  }

  /// The right half is to be drawn anew.
  private func mask(width: Int, height: Int) throws -> Data {
    var pixels = Pixels(width: width, height: height, filledWith: .white)
    for y in 0..<height {
      for x in width / 2..<width { pixels.bytes[(y * width + x) * 4 + 3] = 0 }
    }
    return Data(try PNG.encode(pixels))
  }
}
