/// Sizes that are too many to list: each side is any multiple of some pixels in a range.
package struct SizeGrid: Sendable, Hashable {
  /// Pixels of which each side is a multiple.
  package var multiple: Int
  /// The shortest side and the longest.
  package var sides: ClosedRange<Int>

  /// So many sizes are listed.
  private static let listed = 16

  /// Nil where sizes are few, or are none of a grid; a single one may lie beside it.
  package init?(_ sizes: [PictureSize]) {
    let all = Set(sizes)
    guard all.count > Self.listed else { return nil }
    let sides = Dictionary(grouping: all, by: \.width).filter { $0.value.count > 1 }.keys.sorted()
    guard let first = sides.first, let last = sides.last, last > first else { return nil }
    let step = sides[1] - first
    guard first % step == 0, sides == Array(stride(from: first, through: last, by: step)) else {
      return nil
    }
    let grid = Set(
      sides.flatMap { width in sides.map { PictureSize(width: width, height: $0) } })
    guard all.isSuperset(of: grid), all.count <= grid.count + 1 else { return nil }
    multiple = step
    self.sides = first...last
  }
}

extension SizeGrid: CustomStringConvertible {
  package var description: String {
    "every multiple of \(multiple) from \(sides.lowerBound) to \(sides.upperBound) on each side"
  }
}

extension [PictureSize] {
  /// As a person is told of them: all, or what they have in common.
  package var words: String {
    SizeGrid(self)?.description ?? map(\.description).joined(separator: ", ")
  }

  /// The size whose sides are the fewest times longer or shorter; of equal ones the largest.
  /// - Precondition: There is one.
  package func nearest(to wanted: PictureSize) -> PictureSize {
    func ratio(_ one: Int, _ other: Int) -> Double {
      Double(Swift.max(one, other)) / Double(Swift.min(one, other))
    }
    func distance(_ size: PictureSize) -> Double {
      ratio(size.width, wanted.width) * ratio(size.height, wanted.height)
    }
    return self.min {
      (distance($0), -$0.width * $0.height) < (distance($1), -$1.width * $1.height)
    }!
  }
}
