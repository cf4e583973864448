import BananaAPI
import BananaSDK
import BananaTesting
import Foundation

/// One of the requests that clients send again and again; what it draws is known beforehand.
struct RequestKind: Sendable {
  /// How the picture begins.
  struct Edit: Sendable {
    var hasMask: Bool
    var strength: Double
  }

  let id: Int
  var request: ImageGenerationRequest
  var edit: Edit?
  /// Which of `Workspace.peelNames` it is drawn with, under a client's own name.
  var privatePeel: Int?

  var pictures: Int { request.count ?? 1 }

  static let count = 24
  /// The first: small and quick. Its picture is what edits begin with.
  static let smallest = 0
  /// Four pictures in two steps each.
  static let several = 1
  /// The last two are drawn with private peels.
  static let withPrivatePeel = [count - 2, count - 1]

  /// The kinds of a run: of every sort some, the rest by chance.
  static func all(seed: UInt64) -> [RequestKind] {
    var random = SeededGenerator(seed: seed)
    var kinds = (0..<count).map { make($0, &random) }
    // Drawn with the same words, so that the peel alone makes the difference.
    var request = kinds[withPrivatePeel[0]].request
    for (which, id) in withPrivatePeel.enumerated() {
      request.peels = [.init(name: Workspace.peelNames[which])]
      // The peel's name would be in the file.
      request.provenance = false
      kinds[id] = RequestKind(id: id, request: request, privatePeel: which)
    }
    return kinds
  }

  private static func make(_ id: Int, _ random: inout SeededGenerator) -> RequestKind {
    let things = ["apple", "rocket", "cat", "guitar", "lighthouse", "mushroom", "robot", "pear"]
    let colors = ["red", "blue", "green", "golden"]
    let color = colors.randomElement(using: &random)!
    var request = ImageGenerationRequest(
      prompt: "a \(color) \(things.randomElement(using: &random)!)",
      count: 1, size: "256x256", style: ["3d", "color", "flat"].randomElement(using: &random),
      seed: UInt64.random(in: 0...UInt64(UInt32.max), using: &random), steps: 1)
    var kind = RequestKind(id: id, request: request)
    switch id % 8 {
    case 0: break
    case 1:
      request.steps = 2
      request.count = id == several ? 4 : Int.random(in: 2...4, using: &random)
    case 2: (request.size, request.steps) = ("512x512", 2)
    case 3: (request.size, request.steps) = ("512x512", Int.random(in: 3...4, using: &random))
    case 4:
      request.steps = 2
      request.peels = [.init(name: "pixel-art", strength: strength(&random))]
    case 5:
      (request.size, request.background) = ("512x512", .opaque)
      request.peels = [
        .init(name: "noto", strength: strength(&random)),
        .init(name: "high-contrast", strength: strength(&random)),
      ]
    default:
      request.steps = 2
      kind.edit = Edit(hasMask: id % 8 == 7, strength: strength(&random))
    }
    kind.request = request
    return kind
  }

  private static func strength(_ random: inout SeededGenerator) -> Double {
    Double(Int.random(in: 3...10, using: &random)) / 10
  }

  /// The edit to send, when it is one.
  func imageEdit(_ request: ImageGenerationRequest, _ space: Workspace) throws -> ImageEdit? {
    guard let edit else { return nil }
    return ImageEdit(
      request, image: try Data(contentsOf: URL(filePath: space.editImage)),
      mask: edit.hasMask ? try Data(contentsOf: URL(filePath: space.editMask)) : nil,
      strength: edit.strength)
  }

  /// Whether these are the pictures that a calm daemon drew.
  func isDrawn(by pictures: [GeneratedImage], _ space: Workspace) -> Bool {
    pictures.count == self.pictures
      && pictures.enumerated().allSatisfy { index, picture in
        (try? Data(contentsOf: URL(filePath: space.picture(id, index)))) == picture.png
      }
  }
}
