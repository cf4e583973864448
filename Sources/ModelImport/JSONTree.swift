import FoundationEssentials
import Weights

/// A JSON value: a checkpoint's configurations are handed on as they are, whatever is in them.
package indirect enum JSONTree: Codable, Hashable, Sendable {
  case null
  case flag(Bool)
  case number(Double)
  case text(String)
  case list([JSONTree])
  case object([String: JSONTree])

  package init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if container.decodeNil() {
      self = .null
    } else if let flag = try? container.decode(Bool.self) {
      self = .flag(flag)
    } else if let number = try? container.decode(Double.self) {
      self = .number(number)
    } else if let text = try? container.decode(String.self) {
      self = .text(text)
    } else if let list = try? container.decode([JSONTree].self) {
      self = .list(list)
    } else {
      self = .object(try container.decode([String: JSONTree].self))
    }
  }

  package func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .null: try container.encodeNil()
    case .flag(let flag): try container.encode(flag)
    case .number(let number):
      // Whole numbers without a point: readers ask for integers.
      if let whole = Int(exactly: number) {
        try container.encode(whole)
      } else {
        try container.encode(number)
      }
    case .text(let text): try container.encode(text)
    case .list(let list): try container.encode(list)
    case .object(let members): try container.encode(members)
    }
  }

  /// A member of an object; nil for none and for anything else. Setting makes an object of it.
  subscript(name: String) -> JSONTree? {
    get { if case .object(let members) = self { members[name] } else { nil } }
    set {
      var members: [String: JSONTree] = [:]
      if case .object(let old) = self { members = old }
      members[name] = newValue
      self = .object(members)
    }
  }

  var text: String? { if case .text(let text) = self { text } else { nil } }
  var number: Double? { if case .number(let number) = self { number } else { nil } }
  var flag: Bool? { if case .flag(let flag) = self { flag } else { nil } }
  var list: [JSONTree]? { if case .list(let list) = self { list } else { nil } }

  var keys: [String] {
    if case .object(let members) = self { members.keys.sorted() } else { [] }
  }
}

extension JSONTree: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral,
  ExpressibleByFloatLiteral, ExpressibleByBooleanLiteral, ExpressibleByArrayLiteral,
  ExpressibleByDictionaryLiteral, ExpressibleByNilLiteral
{
  package init(stringLiteral value: String) { self = .text(value) }
  package init(integerLiteral value: Int) { self = .number(Double(value)) }
  package init(floatLiteral value: Double) { self = .number(value) }
  package init(booleanLiteral value: Bool) { self = .flag(value) }
  package init(arrayLiteral elements: JSONTree...) { self = .list(elements) }
  package init(dictionaryLiteral elements: (String, JSONTree)...) {
    self = .object(Dictionary(elements) { _, last in last })
  }
  package init(nilLiteral: ()) { self = .null }

  init(_ numbers: [Int]) { self = .list(numbers.map { .number(Double($0)) }) }
  init(_ texts: [String]) { self = .list(texts.map { .text($0) }) }
}

// Files.
extension JSONTree {
  private static let maximumBytes = 4 << 20
  private static let limits = JSONScanner.Limits(depth: 32, values: 1 << 18, numberBytes: 64)

  /// The object that a file of a checkpoint holds.
  init(contentsOf path: String) throws(ImportError) {
    let file: MappedFile
    do throws(FileError) {
      file = try MappedFile(path: path, maximumBytes: Self.maximumBytes, mapsAnyones: true)
    } catch { throw .file(error) }
    let bytes = withExtendedLifetime(file) { Array(file.bytes) }
    do throws(JSONError) {
      try JSONScanner.check(bytes, limits: Self.limits)
    } catch { throw .json(path: path, reason: "byte \(error.offset): \(error.reason)") }
    guard let tree = try? JSONDecoder().decode(JSONTree.self, from: Data(bytes)),
      case .object = tree
    else { throw .json(path: path, reason: "it is no object") }
    self = tree
  }

  /// The value as a file has it: sorted, and for people to read.
  var fileBytes: [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    guard let data = try? encoder.encode(self) else {
      preconditionFailure("a number that is not finite in \(self)")
    }
    return Array(data) + [0x0A]
  }
}
