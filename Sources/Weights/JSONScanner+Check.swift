extension JSONScanner {
  /// Goes over a whole text once and makes nothing of it: what decoders trip over, what they would
  /// take in silence, and what would keep one busy goes no further.
  package static func check(
    _ text: some Collection<UInt8>, limits: Limits
  ) throws(JSONError) {
    let found: JSONError??
    found = text.withContiguousStorageIfAvailable { mistake(in: $0, limits) }
    let error = found ?? Array(text).withUnsafeBufferPointer { mistake(in: $0, limits) }
    if let error { throw error }
  }

  private static func mistake(
    in text: UnsafeBufferPointer<UInt8>, _ limits: Limits
  ) -> JSONError? {
    if text.isEmpty { return JSONError(reason: "it is empty") }
    if text.starts(with: [0xEF, 0xBB, 0xBF]) {
      return JSONError(reason: "a byte order mark, which JSON has none of")
    }
    var scanner = JSONScanner(UnsafeRawBufferPointer(text), limits: limits)
    var member: String?
    do throws(JSONError) {
      if scanner.peek() == UInt8(ascii: "{") {
        try scanner.object { (scanner, key) throws(JSONError) in
          member = key
          _ = try scanner.value(depth: 1)
          member = nil
        }
      } else {
        _ = try scanner.value()
      }
      try scanner.expectEnd()
      return nil
    } catch {
      var error = error
      error.key = member ?? error.key
      return error
    }
  }
}
