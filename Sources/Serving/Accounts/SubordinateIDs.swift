/// The uids that users may take on in user namespaces: what `/etc/subuid` says (subuid(5)).
package struct SubordinateIDs: Sendable, Equatable {
  package enum Owner: Hashable, Sendable {
    case uid(UInt32)
    /// A login name.
    case name(String)
  }

  package struct Range: Sendable, Equatable {
    package var owner: Owner
    package var ids: ClosedRange<UInt32>

    package init(owner: Owner, ids: ClosedRange<UInt32>) {
      self.owner = owner
      self.ids = ids
    }
  }

  /// The highest uid; the one above it stands for none.
  private static let maximumID = UInt64(UInt32.max) - 1

  package private(set) var ranges: [Range] = []
  /// Lines, from 1, that cannot be understood and give nobody anything.
  package private(set) var damagedLines: [Int] = []

  package init() {}

  /// Reads lines of `owner:first:count`; the owner is a login name or a uid.
  package init(parsing bytes: some Sequence<UInt8>) {
    let lines = Array(bytes).split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    for (index, line) in lines.enumerated() {
      let line = Self.trimmed(line)
      if line.isEmpty || line.first == UInt8(ascii: "#") { continue }
      if let range = Self.range(line) {
        ranges.append(range)
      } else {
        damagedLines.append(index + 1)
      }
    }
  }

  /// Who may take on `uid`; where ranges overlap, whoever comes first.
  package func owner(of uid: UInt32) -> Owner? {
    ranges.first { $0.ids.contains(uid) }?.owner
  }

  private static func range(_ line: ArraySlice<UInt8>) -> Range? {
    let fields = line.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
      .map(trimmed)
    guard fields.count == 3, let name = String(validating: fields[0], as: UTF8.self),
      !name.isEmpty, !fields[0].contains(0), let first = number(fields[1]), first <= maximumID,
      let count = number(fields[2]), count > 0
    else { return nil }
    let owner: Owner
    if let uid = number(fields[0]) {
      guard uid <= maximumID else { return nil }
      owner = .uid(UInt32(uid))
    } else {
      owner = .name(name)
    }
    let last = count - 1 > maximumID - first ? maximumID : first + count - 1
    return Range(owner: owner, ids: UInt32(first)...UInt32(last))
  }

  /// Decimal digits only; nil for what does not fit.
  private static func number(_ digits: ArraySlice<UInt8>) -> UInt64? {
    guard !digits.isEmpty,
      digits.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) })
    else { return nil }
    return UInt64(String(decoding: digits, as: UTF8.self))
  }

  private static func trimmed(_ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
    func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0D }
    var rest = bytes.drop(while: isSpace)
    while let last = rest.last, isSpace(last) { rest.removeLast() }
    return rest
  }
}
