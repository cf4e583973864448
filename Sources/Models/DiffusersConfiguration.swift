/// The fields of a network's `config.json` as diffusers writes it.
///
/// Files of different ages have different fields; what is not there has diffusers' default.
package struct DiffusersConfiguration: Decodable, Hashable, Sendable {
  private let fields: [String: JSONTree]

  package init(_ fields: [String: JSONTree]) { self.fields = fields }

  package init(from decoder: any Decoder) throws {
    fields = try decoder.singleValueContainer().decode([String: JSONTree].self)
  }

  package subscript(name: String) -> JSONTree? { fields[name] }
}

/// Reads fields by name and type; every error says which field is wrong and what it is.
struct DiffusersFields {
  let component: String
  let configuration: DiffusersConfiguration

  func integer(
    _ name: String, default standard: Int, in range: ClosedRange<Int>
  ) throws(ConfigurationError) -> Int {
    guard let field = configuration[name] else { return standard }
    return try integer(field, name, in: range)
  }

  /// Nil if the field is null or not there.
  func optionalInteger(
    _ name: String, in range: ClosedRange<Int>
  ) throws(ConfigurationError) -> Int? {
    guard let field = configuration[name], field != .null else { return nil }
    return try integer(field, name, in: range)
  }

  /// One number for each of `count` places, or one for all of them.
  func integers(
    _ name: String, default standard: Int, count: Int, in range: ClosedRange<Int>
  ) throws(ConfigurationError) -> [Int] {
    guard case .list(let list) = configuration[name] else {
      return Array(
        repeating: try integer(name, default: standard, in: range), count: count)
    }
    try check(list.count == count, name, "it has \(list.count) numbers for \(count) blocks")
    return try list.map { field throws(ConfigurationError) in try integer(field, name, in: range) }
  }

  /// A list that there has to be, with 1 to 8 numbers.
  func integers(
    _ name: String, in range: ClosedRange<Int>
  ) throws(ConfigurationError) -> [Int] {
    guard case .list(let list) = configuration[name], 1...8 ~= list.count else {
      throw wrong(name, "it is no list of 1 to 8 numbers")
    }
    return try list.map { field throws(ConfigurationError) in try integer(field, name, in: range) }
  }

  /// Positive, and small enough for f32.
  func number(_ name: String, default standard: Float) throws(ConfigurationError) -> Float {
    guard let field = configuration[name] else { return standard }
    guard case .number(let number) = field, 1e-12...1e6 ~= number else {
      throw wrong(name, "it is no number in 1e-12...1e6")
    }
    return Float(number)
  }

  /// A number of either sign; 0 if the field is null or not there.
  func shift(_ name: String) throws(ConfigurationError) -> Float {
    guard let field = configuration[name], field != .null else { return 0 }
    guard case .number(let number) = field, -1e6...1e6 ~= number else {
      throw wrong(name, "it is no number in -1e6...1e6")
    }
    return Float(number)
  }

  func flag(_ name: String, default standard: Bool) throws(ConfigurationError) -> Bool {
    guard let field = configuration[name] else { return standard }
    guard case .flag(let flag) = field else { throw wrong(name, "it is neither true nor false") }
    return flag
  }

  /// One of the kinds of block for each of `count` places.
  func blocks<Kind: RawRepresentable & CaseIterable>(
    _ name: String, count: Int
  ) throws(ConfigurationError) -> [Kind] where Kind.RawValue == String {
    guard case .list(let list) = configuration[name], list.count == count else {
      throw wrong(name, "it is no list of \(count) blocks, which block_out_channels has")
    }
    return try list.map { field throws(ConfigurationError) in try block(field, name) }
  }

  func block<Kind: RawRepresentable & CaseIterable>(
    _ field: JSONTree, _ name: String
  ) throws(ConfigurationError) -> Kind where Kind.RawValue == String {
    guard case .text(let text) = field, let kind = Kind(rawValue: text) else {
      let known = Kind.allCases.map(\.rawValue).joined(separator: ", ")
      throw wrong(name, "\(field) is not among the blocks \(known)")
    }
    return kind
  }

  /// One of the texts for which there is a case.
  func choice<Choice: RawRepresentable & CaseIterable>(
    _ name: String, default standard: Choice
  ) throws(ConfigurationError) -> Choice where Choice.RawValue == String {
    guard let field = configuration[name] else { return standard }
    guard case .text(let text) = field, let choice = Choice(rawValue: text) else {
      throw wrong(
        name, "it is none of \(Choice.allCases.map(\.rawValue).joined(separator: ", "))")
    }
    return choice
  }

  /// Throws if a field is there and is none of the values for which a network is as it is drawn.
  func expect(_ name: String, _ values: JSONTree...) throws(ConfigurationError) {
    guard let field = configuration[name] else { return }
    var found = [field]
    if case .list(let list) = field { found = list }
    try check(
      found.allSatisfy(values.contains), name,
      "only \(values.map(\.description).joined(separator: " or ")) can be drawn")
  }

  func check(
    _ condition: Bool, _ name: String, _ reason: @autoclosure () -> String
  ) throws(ConfigurationError) {
    if !condition { throw wrong(name, reason()) }
  }

  func wrong(_ name: String, _ reason: String) -> ConfigurationError {
    let value = configuration[name].map { " is \($0)" } ?? " is not there"
    return ConfigurationError(component, "\(name)\(value): \(reason)")
  }

  private func integer(
    _ field: JSONTree, _ name: String, in range: ClosedRange<Int>
  ) throws(ConfigurationError) -> Int {
    guard case .number(let number) = field, let integer = Int(exactly: number),
      range ~= integer
    else { throw wrong(name, "\(field) is no whole number in \(range)") }
    return integer
  }
}
