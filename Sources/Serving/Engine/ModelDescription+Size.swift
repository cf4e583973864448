import BananaAPI
import Diffusion
package import Models

extension ModelDescription {
  /// The size that is drawn for a request's `size`: of those that the model has, the one of that
  /// name, else the nearest.
  /// - Parameter isStrict: A size that the model does not have is refused.
  func size(named name: String?, isStrict: Bool) throws(APIError) -> PictureSize {
    guard let name, name != "auto" else { return nativeSize.size }
    let known = sizes.map(\.size)
    guard let wanted = PictureSize(name) else {
      throw APIError(
        .invalidRequest,
        "size \"\(name.cut(64))\" is no size. Write it as \"WIDTHxHEIGHT\" or \"auto\"; "
          + "\(self.name) draws \(known.words).", param: "size")
    }
    if known.contains(wanted) { return wanted }
    guard !isStrict else { throw APIError(.unknownSize(wanted, known: known)) }
    return known.nearest(to: wanted)
  }

  /// What a person should know who asked for a size that is not drawn.
  func warning(onSize name: String?, drawn: PictureSize) -> String? {
    guard let name, let wanted = PictureSize(name), wanted != drawn else { return nil }
    return "size \"\(wanted)\" is not drawn by \(self.name): this is the nearest, \(drawn). With "
      + "strict_size it would be refused."
  }
}

extension PictureSize {
  /// The pixels of `"512x512"`; nil for what is no size.
  package init?(_ name: String) {
    let sides = name.split(separator: "x", omittingEmptySubsequences: false)
    guard sides.count == 2,
      sides.allSatisfy({ $0.utf8.allSatisfy { (0x30...0x39).contains($0) } }),
      let width = Int(sides[0]), let height = Int(sides[1]), width > 0, height > 0
    else { return nil }
    self.init(width: width, height: height)
  }
}
