/// Just enough of XML to see that elements nest.
enum XMLCheck {
  struct Malformed: Error {}

  static func parse(_ text: String) throws -> Int {
    var open: [Substring] = []
    var count = 0
    for tag in text.split(separator: "<").dropFirst() {
      guard let end = tag.firstIndex(of: ">") else { throw Malformed() }
      let body = tag[..<end]
      if body.first == "?" { continue }
      if body.first == "/" {
        guard open.popLast() == body.dropFirst() else { throw Malformed() }
      } else if body.last != "/" {
        open.append(body.prefix { !$0.isWhitespace })
      }
      count += 1
    }
    guard open.isEmpty else { throw Malformed() }
    return count
  }
}
