import Testing

@testable import BananaServer

@Suite struct MultipartTests {
  private static let type = "multipart/form-data; boundary=\"x y\""

  private static let form =
    "preamble\r\n--x y\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\na \"b\"\r\n"
    + "\r\n--x y\r\ncontent-type: image/png\r\nCONTENT-DISPOSITION: form-data; name=image; "
    + "filename=\"a\\\"b;.png\"\r\n\r\n\r\n--x\r\n--x z\r\n--x y\r\n"
    + "Content-Disposition: form-data; name=\"empty\"\r\n\r\n\r\n--x y--\r\nepilogue"

  private static let parts = [
    FormPart(name: "prompt", bytes: Array("a \"b\"\r\n".utf8)),
    FormPart(name: "image", fileName: "a\"b;.png", bytes: Array("\r\n--x\r\n--x z".utf8)),
    FormPart(name: "empty", bytes: []),
  ]

  private static func parse(
    _ body: [UInt8], piece: Int = .max, type: String = type
  ) throws(MultipartError) -> [FormPart] {
    var parser = try MultipartParser(contentType: type)
    var rest = body[...]
    while !rest.isEmpty {
      try parser.append(rest.prefix(piece))
      rest = rest.dropFirst(piece)
    }
    return try parser.finish()
  }

  @Test(arguments: [1, 2, 3, 7, 16, 64, 1000])
  func readsAFormInPiecesOfAnySize(_ piece: Int) throws {
    #expect(try Self.parse(Array(Self.form.utf8), piece: piece) == Self.parts)
  }

  @Test(arguments: [
    "", "--x y", "--x y\r\n", "--x yz\r\n", "--x y\r\n\r\n\r\n--x y--",
    "--x y\r\nContent-Disposition: form-data\r\n\r\nv\r\n--x y--",
    "--x y\r\nContent-Disposition: attachment; name=a\r\n\r\nv\r\n--x y--",
    "--x y\r\nContent-Disposition: form-data; name=a\r\n\r\nv\r\n--x y",
    "--x y\r\nContent-Disposition: form-data; name=a\r\n\r\nv", "no form at all",
  ])
  func refusesWhatIsNoForm(_ body: String) {
    #expect {
      _ = try Self.parse(Array(body.utf8))
    } throws: {
      if case .malformed = $0 as? MultipartError { true } else { false }
    }
  }

  @Test(arguments: [
    "", "application/json", "multipart/form-data", "multipart/form-data; boundary=",
    "multipart/form-data; boundary=\(String(repeating: "b", count: 71))",
    "multipart/mixed; boundary=x",
  ])
  func needsABoundary(_ type: String) {
    #expect(throws: MultipartError.notMultipart(contentType: type)) {
      try Self.parse([], type: type)
    }
  }

  @Test func hasLimits() {
    let head = "--x y\r\nContent-Disposition: form-data; name=a\r\n\r\n"
    let long = Array((head + String(repeating: "v", count: 65_537)).utf8)
    #expect(throws: MultipartError.fieldTooLarge(name: "a", maximumBytes: 65_536)) {
      try Self.parse(long + Array("\r\n--x y--".utf8))
    }
    let many = String(repeating: head + "v\r\n", count: 65) + "--x y--"
    #expect(throws: MultipartError.tooManyParts(maximum: 64)) {
      try Self.parse(Array(many.utf8))
    }
    let header = "--x y\r\nX: " + String(repeating: "h", count: 9000)
    #expect(throws: MultipartError.self) { try Self.parse(Array(header.utf8)) }
    #expect(throws: MultipartError.self) { try Self.parse([UInt8](repeating: 65, count: 9000)) }
  }

  /// What is refused depends on the form, and not on the pieces that it comes in.
  @Test(arguments: [8190, 8191, 8192, 8193])
  func limitsDoNotDependOnPieces(_ length: Int) {
    let end = "\r\n--x y\r\nContent-Disposition: form-data; name=a\r\n\r\nv\r\n--x y--"
    let preamble = Array((String(repeating: "p", count: length) + end).utf8)
    let header = Array(
      ("--x y\r\nX: " + String(repeating: "h", count: length - 60) + end.dropFirst(7)).utf8)
    for form in [preamble, header] {
      let whole = Result { () throws(MultipartError) in try Self.parse(form) }
      for piece in [1, 5, 4096] {
        #expect(
          whole == Result { () throws(MultipartError) in try Self.parse(form, piece: piece) })
      }
    }
    // Two bytes stand for the end of the line before it.
    #expect(((try? Self.parse(preamble)) != nil) == (length <= 8190))
  }
}
