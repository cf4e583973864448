/// Why bytes are not the JSON that was expected, and where.
package struct JSONError: Error, Equatable {
  package let reason: String
  package let offset: Int
  /// The key that comes twice, or the outermost object's key at whose value something is wrong.
  package var key: String?

  package init(reason: String, offset: Int = 0, key: String? = nil) {
    self.reason = reason
    self.offset = offset
    self.key = key
  }
}

/// Reads JSON (RFC 8259) strictly, one token after another.
///
/// It exists beside JSONDecoder because it sees repeated keys, takes nothing but what the caller
/// asks for, and never builds a tree of something hostile.
package struct JSONScanner {
  /// What a value may have at most, where strangers send it: decoding costs more than reading.
  package struct Limits: Sendable {
    package var depth: Int
    /// Values of any kind, whatever they are in.
    package var values: Int
    /// Digits, signs and points of a number.
    package var numberBytes: Int

    package init(depth: Int, values: Int, numberBytes: Int) {
      self.depth = depth
      self.values = values
      self.numberBytes = numberBytes
    }

    /// For files, which bound themselves by their size.
    static let file = Limits(depth: 64, values: .max, numberBytes: .max)
  }

  private let bytes: UnsafeRawBufferPointer
  private let limits: Limits
  private var values = 0
  package private(set) var offset = 0
  /// Bytes of a key; longer ones would make messages without end.
  static let longestKey = 1024

  package init(_ bytes: UnsafeRawBufferPointer, limits: Limits) {
    self.bytes = bytes
    self.limits = limits
  }

  init(_ bytes: UnsafeRawBufferPointer) { self.init(bytes, limits: .file) }

  func failure(_ reason: String) -> JSONError { JSONError(reason: reason, offset: offset) }

  /// The next byte that is not white space, without taking it.
  package mutating func peek() -> UInt8? {
    while offset < bytes.count {
      switch bytes[offset] {
      case 0x20, 0x09, 0x0A, 0x0D: offset += 1
      case let byte: return byte
      }
    }
    return nil
  }

  mutating func expect(_ character: Unicode.Scalar) throws(JSONError) {
    guard peek() == UInt8(ascii: character) else { throw failure("\"\(character)\" expected") }
    offset += 1
  }

  /// Takes `character` if it is next.
  mutating func accept(_ character: Unicode.Scalar) -> Bool {
    guard peek() == UInt8(ascii: character) else { return false }
    offset += 1
    return true
  }

  package mutating func expectEnd() throws(JSONError) {
    if peek() != nil { throw failure("nothing more expected") }
  }

  /// Takes an object, calling `member` at each value; no key may come twice.
  package mutating func object(
    _ member: (inout JSONScanner, String) throws(JSONError) -> Void
  ) throws(JSONError) {
    try expect("{")
    if accept("}") { return }
    var keys: Set<String> = []
    repeat {
      let key = try string()
      if key.utf8.count > Self.longestKey { throw failure("a key is too long") }
      if !keys.insert(key).inserted {
        throw JSONError(
          reason: "the key \"\(key.excerpt)\" comes twice", offset: offset, key: key)
      }
      try expect(":")
      try member(&self, key)
    } while accept(",")
    try expect("}")
  }

  /// Takes an array, calling `element` at each value.
  mutating func array(
    _ element: (inout JSONScanner) throws(JSONError) -> Void
  ) throws(JSONError) {
    try expect("[")
    if accept("]") { return }
    repeat { try element(&self) } while accept(",")
    try expect("]")
  }

  /// Takes a number that is not negative, has no fraction and fits an Int.
  mutating func count() throws(JSONError) -> Int {
    let isDigit = { (byte: UInt8?) in byte.map { 0x30...0x39 ~= $0 } ?? false }
    guard isDigit(peek()) else { throw failure("a number that is not negative expected") }
    let first = offset
    var value = 0
    while offset < bytes.count, isDigit(bytes[offset]) {
      let (product, isOver) = value.multipliedReportingOverflow(by: 10)
      let (sum, isStillOver) = product.addingReportingOverflow(Int(bytes[offset] - 0x30))
      if isOver || isStillOver { throw failure("the number is too large") }
      value = sum
      offset += 1
    }
    if bytes[first] == 0x30, offset > first + 1 { throw failure("a number begins with 0") }
    if offset < bytes.count, [0x2E, 0x65, 0x45].contains(bytes[offset]) {
      throw failure("a whole number expected")
    }
    return value
  }

  /// Takes a number.
  mutating func number() throws(JSONError) -> Double {
    _ = peek()
    let first = offset
    try skipNumber()
    guard let number = Double(String(decoding: bytes[first..<offset], as: UTF8.self)) else {
      throw failure("a number expected")
    }
    return number
  }

  /// Takes `true` or `false`.
  mutating func boolean() throws(JSONError) -> Bool {
    let isTrue = peek() == UInt8(ascii: "t")
    try literal(isTrue ? "true" : "false")
    return isTrue
  }

  mutating func string() throws(JSONError) -> String {
    try expect("\"")
    var text: [UInt8] = []
    while offset < bytes.count {
      let byte = bytes[offset]
      offset += 1
      switch byte {
      case UInt8(ascii: "\""):
        guard let valid = String(validating: text, as: UTF8.self) else {
          throw failure("a string is not UTF-8")
        }
        return valid
      case UInt8(ascii: "\\"): try appendEscape(to: &text)
      case 0..<0x20:
        offset -= 1
        let code = String(byte, radix: 16, uppercase: true)
        let name = String(repeating: "0", count: 4 - code.count) + code
        throw failure("a raw control character, U+\(name), in a string; JSON writes it \\u\(name)")
      default: text.append(byte)
      }
    }
    throw failure("a string does not end")
  }

  private mutating func appendEscape(to text: inout [UInt8]) throws(JSONError) {
    guard offset < bytes.count else { throw failure("a string does not end") }
    let byte = bytes[offset]
    offset += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(byte)
    case UInt8(ascii: "b"): text.append(0x08)
    case UInt8(ascii: "f"): text.append(0x0C)
    case UInt8(ascii: "n"): text.append(0x0A)
    case UInt8(ascii: "r"): text.append(0x0D)
    case UInt8(ascii: "t"): text.append(0x09)
    case UInt8(ascii: "u"):
      var code = try hexadecimal()
      if 0xD800...0xDBFF ~= code, offset + 1 < bytes.count, bytes[offset] == 0x5C,
        bytes[offset + 1] == UInt8(ascii: "u")
      {
        offset += 2
        let low = try hexadecimal()
        guard 0xDC00...0xDFFF ~= low else { throw failure("half a surrogate pair") }
        code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
      }
      guard let scalar = Unicode.Scalar(code) else { throw failure("half a surrogate pair") }
      text.append(contentsOf: UTF8.encode(scalar)!)
    default: throw failure("an unknown escape in a string")
    }
  }

  private mutating func hexadecimal() throws(JSONError) -> UInt32 {
    var code: UInt32 = 0
    for _ in 0..<4 {
      guard offset < bytes.count, let digit = Character(Unicode.Scalar(bytes[offset])).hexDigitValue
      else { throw failure("four hexadecimal digits expected") }
      code = code << 4 | UInt32(digit)
      offset += 1
    }
    return code
  }

  /// Takes any value and gives the bytes where it stands.
  /// - Parameter depth: How many lists and objects it is in.
  package mutating func value(depth: Int = 0) throws(JSONError) -> Range<Int> {
    let next = peek()
    let first = offset
    if depth > limits.depth { throw failure("nested too deeply") }
    values += 1
    if values > limits.values { throw failure("more than \(limits.values) values") }
    switch next {
    case UInt8(ascii: "{"):
      try object { (scanner, _) throws(JSONError) in _ = try scanner.value(depth: depth + 1) }
    case UInt8(ascii: "["):
      try array { (scanner) throws(JSONError) in _ = try scanner.value(depth: depth + 1) }
    case UInt8(ascii: "\""): _ = try string()
    case UInt8(ascii: "t"): try literal("true")
    case UInt8(ascii: "f"): try literal("false")
    case UInt8(ascii: "n"): try literal("null")
    default: try skipNumber()
    }
    return first..<offset
  }

  private mutating func literal(_ text: StaticString) throws(JSONError) {
    let matches = text.withUTF8Buffer { bytes[offset...].starts(with: $0) }
    if !matches { throw failure("a value expected") }
    offset += text.utf8CodeUnitCount
  }

  private mutating func skipNumber() throws(JSONError) {
    let start = offset
    if offset < bytes.count, bytes[offset] == 0x2D { offset += 1 }
    let first = offset
    try digits()
    if bytes[first] == 0x30, offset > first + 1 { throw failure("a number begins with 0") }
    if offset < bytes.count, bytes[offset] == 0x2E {
      offset += 1
      try digits()
    }
    if offset < bytes.count, bytes[offset] | 0x20 == UInt8(ascii: "e") {
      offset += 1
      if offset < bytes.count, bytes[offset] == 0x2B || bytes[offset] == 0x2D { offset += 1 }
      try digits()
    }
    if offset - start > limits.numberBytes {
      throw failure("a number of more than \(limits.numberBytes) characters")
    }
  }

  private mutating func digits() throws(JSONError) {
    let first = offset
    while offset < bytes.count, 0x30...0x39 ~= bytes[offset] { offset += 1 }
    if offset == first { throw failure("a value expected") }
  }
}
