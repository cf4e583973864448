import BananaAPI

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A part of a `multipart/form-data` body.
package struct FormPart: Sendable, Equatable {
  package var name: String
  /// Set for files.
  package var fileName: String?
  package var bytes: [UInt8]

  package init(name: String, fileName: String? = nil, bytes: [UInt8]) {
    self.name = name
    self.fileName = fileName
    self.bytes = bytes
  }
}

/// Why a body is no form.
package enum MultipartError: Error, Equatable {
  /// The Content-Type is not `multipart/form-data` with a boundary.
  case notMultipart(contentType: String)
  case malformed(reason: String)
  case tooManyParts(maximum: Int)
  case fieldTooLarge(name: String, maximumBytes: Int)
}

extension MultipartError: CustomStringConvertible {
  package var description: String {
    switch self {
    case .notMultipart(let contentType):
      "The Content-Type is \"\(contentType.cut(128))\". Send multipart/form-data with a "
        + "boundary."
    case .malformed(let reason):
      "The body is no multipart/form-data: \(reason). Send it as RFC 7578 says."
    case .tooManyParts(let maximum):
      "The form has more than \(maximum) parts. Leave some out."
    case .fieldTooLarge(let name, let maximumBytes):
      "The form's field \"\(name.cut(64))\" is larger than \(maximumBytes) bytes. Shorten it."
    }
  }
}

/// Takes `multipart/form-data` (RFC 7578, RFC 2046 section 5.1) apart as its bytes come.
package struct MultipartParser {
  package static let maximumParts = 64
  /// Of a part that is no file.
  package static let maximumFieldBytes = 64 << 10
  private static let maximumHeaderBytes = 8 << 10

  private enum State {
    case preamble
    /// Behind a delimiter, before it is known whether it is the last.
    case delimiter
    case headers
    case body
    case end
  }

  private let delimiter: [UInt8]
  private var state = State.preamble
  // The first delimiter has no line before it; this makes it like the others.
  private var buffer: [UInt8] = [13, 10]
  private var parts: [FormPart] = []

  /// - Parameter contentType: The header that names the boundary.
  package init(contentType: String) throws(MultipartError) {
    let parameters = HeaderParameters(contentType)
    guard parameters.value == "multipart/form-data", let boundary = parameters["boundary"],
      (1...70).contains(boundary.utf8.count)
    else { throw .notMultipart(contentType: contentType) }
    delimiter = Array("\r\n--\(boundary)".utf8)
  }

  /// Takes the next bytes of the body.
  package mutating func append(_ bytes: some Sequence<UInt8>) throws(MultipartError) {
    buffer.append(contentsOf: bytes)
    while try advance() {}
  }

  /// The parts, when the body is over.
  package consuming func finish() throws(MultipartError) -> [FormPart] {
    guard case .end = state else { throw .malformed(reason: "its last boundary is missing") }
    return parts
  }

  /// Goes one state further; false when more bytes are needed.
  private mutating func advance() throws(MultipartError) -> Bool {
    switch state {
    case .preamble:
      guard let start = try find(delimiter, orFail: "its first boundary is missing") else {
        return false
      }
      buffer.removeFirst(start + delimiter.count)
      state = .delimiter
    case .delimiter:
      guard buffer.count >= 2 else { return false }
      switch (buffer[0], buffer[1]) {
      case (45, 45): state = .end
      case (13, 10): state = .headers
      default: throw .malformed(reason: "a boundary goes on where its line should end")
      }
      // The line's end stays, so that a part's headers begin with one.
      if case .end = state { buffer.removeAll() }
    case .headers:
      let reason = "a part's header is longer than \(Self.maximumHeaderBytes) bytes"
      guard let end = try find([13, 10, 13, 10], orFail: reason) else { return false }
      parts.append(try part(headers: buffer[..<end]))
      guard parts.count <= Self.maximumParts else {
        throw .tooManyParts(maximum: Self.maximumParts)
      }
      buffer.removeFirst(end + 4)
      state = .body
    case .body:
      return try advanceInBody()
    case .end:
      buffer.removeAll()
      return false
    }
    return true
  }

  private mutating func advanceInBody() throws(MultipartError) -> Bool {
    let found = find(delimiter)
    let count = found ?? max(buffer.count - delimiter.count, 0)
    let last = parts.count - 1
    parts[last].bytes.append(contentsOf: buffer[..<count])
    if parts[last].fileName == nil, parts[last].bytes.count > Self.maximumFieldBytes {
      throw .fieldTooLarge(name: parts[last].name, maximumBytes: Self.maximumFieldBytes)
    }
    guard found != nil else {
      buffer.removeFirst(count)
      return false
    }
    buffer.removeFirst(count + delimiter.count)
    state = .delimiter
    return true
  }

  private func part(headers: ArraySlice<UInt8>) throws(MultipartError) -> FormPart {
    guard let text = String(validating: headers, as: UTF8.self) else {
      throw .malformed(reason: "a part's header is no UTF-8")
    }
    for line in text.split(separator: "\r\n") {
      let halves = line.split(separator: ":", maxSplits: 1)
      guard halves.count == 2, halves[0].lowercased() == "content-disposition" else { continue }
      let parameters = HeaderParameters(String(halves[1]))
      guard parameters.value == "form-data", let name = parameters["name"] else { break }
      return FormPart(name: name, fileName: parameters["filename"], bytes: [])
    }
    throw .malformed(reason: "a part has no Content-Disposition: form-data with a name")
  }

  /// Where `needle` begins in the buffer.
  private func find(_ needle: [UInt8]) -> Int? {
    buffer.withUnsafeBytes { hay in
      needle.withUnsafeBytes { needle -> Int? in
        var at = 0
        while hay.count - at >= needle.count {
          guard
            let hit = memchr(
              hay.baseAddress! + at, Int32(needle[0]), hay.count - at - needle.count + 1)
          else { return nil }
          at = hay.baseAddress!.distance(to: hit)
          if memcmp(hit, needle.baseAddress!, needle.count) == 0 { return at }
          at += 1
        }
        return nil
      }
    }
  }

  /// Likewise for what must begin within `maximumHeaderBytes`, in however many pieces it comes.
  private func find(_ needle: [UInt8], orFail reason: String) throws(MultipartError) -> Int? {
    let found = find(needle)
    if found ?? (buffer.count - needle.count + 1) > Self.maximumHeaderBytes {
      throw .malformed(reason: reason)
    }
    return found
  }
}

/// A header's value with its parameters: `form-data; name="image"`.
///
/// It is read byte by byte: what a character is in a text of somebody else's may take long to say.
struct HeaderParameters {
  /// In lower case.
  private(set) var value = ""
  private var parameters: [String: String] = [:]

  init(_ text: String) {
    var rest = Array(text.utf8)[...]
    value = Self.take(upTo: ";", from: &rest).lowercased()
    while !rest.isEmpty {
      rest = rest.dropFirst()
      let name = Self.take(upTo: "=", from: &rest).lowercased()
      guard rest.first == UInt8(ascii: "=") else { return }
      rest = rest.dropFirst()
      parameters[name] =
        rest.first == UInt8(ascii: "\"") ? Self.quoted(&rest) : Self.take(upTo: ";", from: &rest)
      rest = rest.drop { $0 != UInt8(ascii: ";") }
    }
  }

  subscript(name: String) -> String? { parameters[name] }

  private static func take(upTo end: Unicode.Scalar, from rest: inout ArraySlice<UInt8>) -> String {
    var taken = rest.prefix { $0 != UInt8(ascii: end) }
    rest = rest.dropFirst(taken.count)
    taken = taken.drop { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
    while taken.last == UInt8(ascii: " ") { taken.removeLast() }
    return String(decoding: taken, as: UTF8.self)
  }

  private static func quoted(_ rest: inout ArraySlice<UInt8>) -> String {
    var text: [UInt8] = []
    rest = rest.dropFirst()
    while let byte = rest.popFirst(), byte != UInt8(ascii: "\"") {
      text.append(byte == UInt8(ascii: "\\") ? rest.popFirst() ?? byte : byte)
    }
    return String(decoding: text, as: UTF8.self)
  }
}
