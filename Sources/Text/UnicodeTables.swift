/// Unicode as BERT's published normalizer has it, whatever the Unicode version of the runtime.
///
/// The standard library offers neither canonical decomposition nor a fixed Unicode version, so the
/// tables are measured on the reference implementation and parsed once, on first use.
enum UnicodeTables {
  static let removedSet = ScalarSet(removed)
  static let spaceSet = ScalarSet(spaces)
  static let ideographSet = ScalarSet(ideographs)
  static let punctuationSet = ScalarSet(punctuation)
  static let markSet = ScalarSet(marks)
  static let fixedMarkSet = ScalarSet(fixedMarks)
  static let scalarMapping = ScalarMapping(mapping)

  /// Combining classes of the marks that are kept, by scalar.
  static let movingClasses = combiningClasses(movingMarks)

  /// Reads words `RANGE:CLASS`, the class decimal.
  static func combiningClasses(_ table: StaticString) -> [UInt32: UInt8] {
    var classes: [UInt32: UInt8] = [:]
    for word in words(of: table) {
      let parts = word.split(separator: 0x3A)
      let range = scalarRange(parts[0])
      for scalar in range { classes[scalar] = UInt8(number(parts[1], radix: 10)) }
    }
    return classes
  }

  static func words(of table: StaticString) -> [ArraySlice<UInt8>] {
    table.withUTF8Buffer { Array($0).split { $0 == 0x20 || $0 == 0x0A } }
  }

  static func number(_ digits: ArraySlice<UInt8>, radix: UInt32 = 16) -> UInt32 {
    digits.reduce(0) { $0 * radix + UInt32($1 < 0x41 ? $1 - 0x30 : $1 - 0x41 + 10) }
  }

  static func scalarRange(_ text: ArraySlice<UInt8>) -> ClosedRange<UInt32> {
    let bounds = text.split(separator: 0x2D)
    return number(bounds[0])...number(bounds[bounds.count - 1])
  }
}

/// A set of Unicode scalars, as sorted ranges.
struct ScalarSet: Sendable {
  private let ranges: [ClosedRange<UInt32>]

  init(_ table: StaticString) {
    ranges = UnicodeTables.words(of: table).map(UnicodeTables.scalarRange)
  }

  func contains(_ scalar: UInt32) -> Bool {
    var low = 0
    var high = ranges.count
    while low < high {
      let middle = (low + high) / 2
      if ranges[middle].upperBound < scalar { low = middle + 1 } else { high = middle }
    }
    return low < ranges.count && ranges[low].lowerBound <= scalar
  }
}

/// What scalars become, by a table of other scalars.
///
/// Words of the table: `A-B:T` maps A...B to T..., `A-B/2:T` every second one of them, `A:T` maps
/// one scalar and a following lone `U` the one after it, `A:T,U` maps one scalar to two.
struct ScalarMapping: Sendable {
  private(set) var targets: [UInt32: [UInt32]] = [:]

  init(_ table: StaticString) {
    var cursor: UInt32 = 0
    for word in UnicodeTables.words(of: table) {
      let parts = word.split(separator: 0x3A)
      let target = parts[parts.count - 1].split(separator: 0x2C).map { UnicodeTables.number($0) }
      if parts.count == 1 {
        targets[cursor] = target
        cursor += 1
      } else {
        let source = parts[0].split(separator: 0x2F)
        let range = UnicodeTables.scalarRange(source[0])
        for scalar in stride(from: range.lowerBound, through: range.upperBound, by: source.count) {
          targets[scalar] = range.count == 1 ? target : [target[0] + scalar - range.lowerBound]
        }
        cursor = range.upperBound + 1
      }
    }
  }

  /// Calls `body` with each scalar that BERT makes of `scalar`.
  func forEachTarget(of scalar: UInt32, _ body: (UInt32) -> Void) {
    if scalar < 0x80 {
      body(0x41...0x5A ~= scalar ? scalar + 0x20 : scalar)
    } else if 0xAC00...0xD7A3 ~= scalar {
      // The Unicode Standard, section 3.12: a Hangul syllable is two or three jamo.
      let index = scalar - 0xAC00
      body(0x1100 + index / 588)
      body(0x1161 + index % 588 / 28)
      if index % 28 > 0 { body(0x11A7 + index % 28) }
    } else if let mapped = targets[scalar] {
      for target in mapped { body(target) }
    } else {
      body(scalar)
    }
  }
}
