import BananaAPI

extension ModelDescription {
  /// The size that is drawn for a request's `size`: of those that the model has, the one of that
  /// name, else the nearest.
  /// - Parameter isStrict: A size that the model does not have is refused.
  func size(named name: String?, isStrict: Bool) throws(APIError) -> Size {
    guard let name, name != "auto" else { return nativeSize }
    let known = sizes.map { "\"\($0.name)\"" }.joined(separator: ", ")
    guard let wanted = Size.pixels(name) else {
      throw APIError(
        .invalidRequest,
        "size \"\(name.prefix(64))\" is no size. Write it as \(known) or \"auto\".", param: "size")
    }
    if let size = sizes.first(where: { ($0.width, $0.height) == wanted }) { return size }
    guard !isStrict else {
      throw APIError(
        .invalidRequest,
        "size \"\(name.prefix(64))\" is not drawn by \(self.name), and strict_size is set. Use "
          + "\(known) or \"auto\".", param: "size")
    }
    return nearest(to: wanted)
  }

  /// What a person should know who asked for a size that is not drawn.
  func warning(onSize name: String?, drawn: Size) -> String? {
    guard let name, let wanted = Size.pixels(name), wanted != (drawn.width, drawn.height) else {
      return nil
    }
    return "size \"\(wanted.width)x\(wanted.height)\" is not drawn by \(self.name): this is the "
      + "nearest, \(drawn.name). With strict_size it would be refused."
  }

  /// The size whose sides are the fewest times longer or shorter; of equal ones the largest.
  private func nearest(to wanted: (width: Int, height: Int)) -> Size {
    func ratio(_ one: Int, _ other: Int) -> Double {
      Double(max(one, other)) / Double(min(one, other))
    }
    func distance(_ size: Size) -> Double {
      ratio(size.width, wanted.width) * ratio(size.height, wanted.height)
    }
    return sizes.min {
      (distance($0), -$0.width * $0.height) < (distance($1), -$1.width * $1.height)
    }!
  }
}

extension ModelDescription.Size {
  /// As in the API: `"512x512"`.
  package var name: String { "\(width)x\(height)" }

  /// The pixels of `"512x512"`; nil for what is no size.
  static func pixels(_ name: String) -> (width: Int, height: Int)? {
    let sides = name.split(separator: "x", omittingEmptySubsequences: false)
    guard sides.count == 2,
      sides.allSatisfy({ $0.utf8.allSatisfy { (0x30...0x39).contains($0) } }),
      let width = Int(sides[0]), let height = Int(sides[1]), width > 0, height > 0
    else { return nil }
    return (width, height)
  }
}
