/// A number, text or truth value in JSON, and the keys of the objects that lead to it.
struct JSONLeaf {
  enum Value {
    case number(Double)
    case boolean(Bool)
    case string(String)
    case null
    /// A list, or what is nested too deeply to mean anything.
    case other
  }

  /// Objects in objects.
  private static let deepest = 4

  let path: [String]
  let value: Value

  /// The values in `text`, in its order.
  static func leaves(of text: String, under path: [String]) throws(JSONError) -> [JSONLeaf] {
    var text = text
    var result: Result<[JSONLeaf], JSONError> = .success([])
    text.withUTF8 { bytes in
      var scanner = JSONScanner(UnsafeRawBufferPointer(bytes))
      var leaves: [JSONLeaf] = []
      do throws(JSONError) {
        try read(&scanner, path, into: &leaves)
        try scanner.expectEnd()
        result = .success(leaves)
      } catch { result = .failure(error) }
    }
    return try result.get()
  }

  private static func read(
    _ scanner: inout JSONScanner, _ path: [String], into leaves: inout [JSONLeaf]
  ) throws(JSONError) {
    let value: Value
    switch scanner.peek() {
    case UInt8(ascii: "{") where path.count < deepest:
      return try scanner.object { (scanner, key) throws(JSONError) in
        try read(&scanner, path + [key], into: &leaves)
      }
    case UInt8(ascii: "\""): value = .string(try scanner.string())
    case UInt8(ascii: "t"), UInt8(ascii: "f"): value = .boolean(try scanner.boolean())
    case UInt8(ascii: "n"):
      _ = try scanner.value()
      value = .null
    case UInt8(ascii: "{"), UInt8(ascii: "["):
      _ = try scanner.value()
      value = .other
    default: value = .number(try scanner.number())
    }
    leaves.append(JSONLeaf(path: path, value: value))
  }
}
