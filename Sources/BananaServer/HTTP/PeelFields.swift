import BananaAPI

/// The peels of a form, in the ways in which HTTP libraries write lists and objects:
/// `peels[]`, `peels[0]`, `peels[][name]`, `peels[0][strength]` and `peels[0].name`.
struct PeelFields {
  private enum Member: String {
    case name, strength
  }

  private struct Entry {
    var name: String?
    var strength: Double?
  }

  private static let parameter = "peels"

  /// Those with a number, by it.
  private var numbered: [Int: Entry] = [:]
  /// Those without, as they come.
  private var listed: [(member: Member, text: String)] = []

  /// Takes a part, if it is one of the list; `peels` alone is none.
  /// - Throws: `APIError` for a part that says nothing about a peel.
  mutating func take(_ part: FormPart) throws(APIError) -> Bool {
    guard part.name.hasPrefix(Self.parameter + "[") else { return false }
    let words = part.name.dropFirst(Self.parameter.count + 1).split(
      omittingEmptySubsequences: false
    ) { "[].".contains($0) }
    // What stands within the first brackets, and the member, if any is named.
    let place = words[0]
    let members = words.dropFirst().filter { !$0.isEmpty }
    guard members.count <= 1, let member = Member(rawValue: String(members.first ?? "name")),
      place.isEmpty || (place.utf8.count <= 4 && Int(place) ?? -1 >= 0)
    else { throw wrong("peels has no part \"\(part.name.cut(64))\"") }
    guard let text = String(validating: part.bytes, as: UTF8.self) else {
      throw wrong("\(part.name.cut(64)) is not valid UTF-8")
    }
    // What nobody filled in.
    if text.isEmpty || member == .strength && ["null", "undefined", "None"].contains(text) {
      return true
    }
    if let number = Int(place) {
      try put(member, text, in: &numbered[number, default: Entry()])
    } else {
      listed.append((member, text))
    }
    return true
  }

  /// The peels in their order; nil when there was no part of the list.
  func references() throws(APIError) -> [PeelReference]? {
    if numbered.isEmpty, listed.isEmpty { return nil }
    var references: [PeelReference] = []
    for entry in try numbered.sorted(by: { $0.key < $1.key }).map(\.value) + list() {
      guard let name = entry.name else { throw wrong("a peel has a strength and no name") }
      references.append(PeelReference(name: name, strength: entry.strength ?? 1))
    }
    return references
  }

  /// Clients write either peel after peel, or all names and then all strengths.
  private func list() throws(APIError) -> [Entry] {
    let names = listed.filter { $0.member == .name }
    let strengths = listed.filter { $0.member == .strength }
    var entries: [Entry] = []
    if strengths.count == names.count {
      for (name, strength) in zip(names, strengths) {
        var entry = Entry(name: name.text)
        try put(.strength, strength.text, in: &entry)
        entries.append(entry)
      }
      return entries
    }
    let isGrouped =
      listed.prefix(names.count).allSatisfy { $0.member == .name }
      || listed.prefix(strengths.count).allSatisfy { $0.member == .strength }
    if isGrouped, !strengths.isEmpty {
      throw wrong("\(names.count) peels have names and \(strengths.count) strengths")
    }
    for (member, text) in listed {
      // A member that the last one has already begins another.
      let isNext =
        switch member {
        case .name: entries.last?.name != nil
        case .strength: entries.last?.strength != nil
        }
      if isNext || entries.isEmpty { entries.append(Entry()) }
      try put(member, text, in: &entries[entries.count - 1])
    }
    return entries
  }

  private func put(_ member: Member, _ text: String, in entry: inout Entry) throws(APIError) {
    switch member {
    case .name:
      if entry.name != nil { throw wrong("a peel has two names") }
      entry.name = text
    case .strength:
      if entry.strength != nil { throw wrong("a peel has two strengths") }
      // Swift also reads nan, inf and hexadecimal numbers.
      let isPlain = text.utf8.allSatisfy { "0123456789+-.eE".utf8.contains($0) }
      guard isPlain, let strength = Double(text), strength.isFinite else {
        throw wrong("the strength \"\(text.cut(32))\" is no number")
      }
      entry.strength = strength
    }
  }

  private func wrong(_ reason: String) -> APIError {
    APIError(
      .invalidRequest,
      "\(reason.prefix(1).uppercased() + reason.dropFirst()). Send peels[][name] and "
        + "peels[][strength] for each peel, or peels as a JSON list of "
        + "{\"name\": \"…\", \"strength\": 1.0}.", param: Self.parameter)
  }
}
