import Testing

@testable import Text

@Suite struct WeightedPromptTests {
  private static func text(_ text: String, _ weight: Double = 1) -> WeightedPrompt.Part {
    .text(text, weight: weight)
  }

  /// The examples that the web UI's `parse_prompt_attention` gives itself.
  @Test func examplesOfTheWebUI() {
    #expect(WeightedPrompt(parsing: "normal text").parts == [Self.text("normal text")])
    #expect(
      WeightedPrompt(parsing: "an (important) word").parts
        == [Self.text("an "), Self.text("important", 1.1), Self.text(" word")])
    #expect(WeightedPrompt(parsing: "(unbalanced").parts == [Self.text("unbalanced", 1.1)])
    #expect(WeightedPrompt(parsing: #"\(literal\]"#).parts == [Self.text("(literal]")])
    #expect(
      WeightedPrompt(parsing: "(unnecessary)(parens)").parts
        == [Self.text("unnecessaryparens", 1.1)])
    #expect(
      WeightedPrompt(parsing: "a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).").parts
        == [
          Self.text("a "), Self.text("house", 1.5730000000000004), Self.text(" ", 1.1),
          Self.text("on"), Self.text(" a ", 1.1), Self.text("hill", 0.55),
          Self.text(", sun, ", 1.1), Self.text("sky", 1.4641000000000006), Self.text(".", 1.1),
        ])
  }

  @Test func bracketsAndWeights() {
    let square = 1 / 1.1
    let expected: [(String, [WeightedPrompt.Part])] = [
      ("", []), ("()", []), ("\\", []), ("(\\)", [Self.text(")", 1.1)]),
      (
        "[less] [[least",
        [Self.text("less", square), Self.text(" "), Self.text("least", square * square)]
      ),
      // A closing bracket that nothing opens is text, a weight without a bracket too.
      ("a) b] c:1.5) d", [Self.text("a) b] c:1.5) d")]),
      // Brackets of the two kinds do not know of one another.
      ("(a[b)c]", [Self.text("a", 1.1), Self.text("b", 1.1 * square), Self.text("c", square)]),
      ("[a:0.5]", [Self.text("a:0.5", square)]),
      ("(a : -.5 )(b:+2)(c:1.)", [Self.text("a ", -0.5), Self.text("b", 2), Self.text("c")]),
      ("(a:0)", [Self.text("a", 0)]), ("(time: 12:30)", [Self.text("time: 12", 30)]),
      // No numbers.
      ("(a:1e9)", [Self.text("a:1e9", 1.1)]), ("(a:1.2.3)", [Self.text("a:1.2.3", 1.1)]),
      ("(a:.)", [Self.text("a:.", 1.1)]), ("(a:)", [Self.text("a:", 1.1)]),
      ("(a:nan)(b:inf)", [Self.text("a:nanb:inf", 1.1)]), ("(a:1.2", [Self.text("a:1.2", 1.1)]),
      // Bounded.
      ("(a:1000)", [Self.text("a", 100)]),
      ("(a:-\(String(repeating: "9", count: 999)))", [Self.text("a", -100)]),
      ("((a:90):90)", [Self.text("a", 100)]),
      (#"\\ \( \) \[ \] \a \"#, [Self.text(#"\ ( ) [ ] a "#)]),
      (#"(a\:1.3)"#, [Self.text("a", 1.3)]),
      ("e\u{301}(\u{301}x)", [Self.text("e\u{301}"), Self.text("\u{301}x", 1.1)]),
    ]
    for (prompt, parts) in expected {
      let comment = Comment(rawValue: String(prompt.prefix(40)))
      #expect(WeightedPrompt(parsing: prompt).parts == parts, comment)
    }
    #expect(WeightedPrompt(plain: "(a:1.2) BREAK").parts == [Self.text("(a:1.2) BREAK")])
    #expect(WeightedPrompt(plain: "").parts == [])
  }

  @Test func breaks() {
    let expected: [(String, [WeightedPrompt.Part])] = [
      ("a BREAK b", [Self.text("a"), .chunkBreak, Self.text("b")]),
      ("a\n BREAK \n b BREAK", [Self.text("a"), .chunkBreak, Self.text("b"), .chunkBreak]),
      ("BREAK BREAK,BREAK", [.chunkBreak, .chunkBreak, Self.text(","), .chunkBreak]),
      (
        "BREAKS xBREAK BREAK_ BREAK1 éBREAK break",
        [Self.text("BREAKS xBREAK BREAK_ BREAK1 éBREAK break")]
      ),
      ("(a BREAK b:1.5)", [Self.text("a", 1.5), .chunkBreak, Self.text("b", 1.5)]),
      ("a(BREAK)b", [Self.text("a"), .chunkBreak, Self.text("b")]),
    ]
    for (prompt, parts) in expected {
      #expect(WeightedPrompt(parsing: prompt).parts == parts, Comment(rawValue: prompt))
    }
  }

  /// What is no syntax stays, in its order; weights are finite and bounded.
  @Test func randomPromptsKeepTheirText() {
    var random = SystemRandomNumberGenerator()
    let pieces = [
      "(", ")", "[", "]", ":", ":1.2)", "\\", " ", "BREAK", "1", ".", "-", "cat", "é", "e\u{301}",
      "東京", "👩‍🚀", ",", "\n", "\u{0}", "(x:9e9)", ":999999)", "AND", "BRE", "AK", "\u{301}",
    ]
    for _ in 0..<2000 {
      let prompt = (0..<Int.random(in: 0...60, using: &random)).map { _ in
        pieces.randomElement(using: &random)!
      }.joined()
      let parts = WeightedPrompt(parsing: prompt).parts
      var kept = String.UnicodeScalarView()
      for case .text(let text, let weight) in parts {
        #expect(!text.isEmpty)
        #expect(abs(weight) <= WeightedPrompt.largestWeight)
        kept.append(contentsOf: text.unicodeScalars)
      }
      let source = Array(prompt.unicodeScalars)
      #expect(Self.isSubsequence(Array(kept), of: source), Comment(rawValue: prompt))
      #expect(
        Self.withoutSyntax(Array(kept)) == Self.withoutSyntax(source), Comment(rawValue: prompt))
    }
  }

  private static func isSubsequence(_ part: [Unicode.Scalar], of whole: [Unicode.Scalar]) -> Bool {
    var rest = whole[...]
    for scalar in part {
      guard let index = rest.firstIndex(of: scalar) else { return false }
      rest = rest[(index + 1)...]
    }
    return true
  }

  /// What no syntax has in it: not brackets, weights, white space, or letters of BREAK.
  private static func withoutSyntax(_ text: [Unicode.Scalar]) -> [Unicode.Scalar] {
    text.filter { !"()[]:\\ \n0123456789.+-BREAK".unicodeScalars.contains($0) }
  }

  @Test func hostilePromptsCostWhatTheyShould() {
    let count = 1 << 15
    for piece in [
      "(a", "[(a", "(a:", ":  ", ":1", "((((", "a)", "(a:1.1)", "BREAK", "BREAK ", "\\",
    ] {
      let prompt = WeightedPrompt(parsing: String(repeating: piece, count: count))
      #expect(prompt.parts.count <= 2 * count)
    }
    let deep = String(repeating: "(", count: 100) + "a" + String(repeating: ")", count: 100) + "b"
    #expect(WeightedPrompt(parsing: deep).parts == [Self.text("a", 100), Self.text("b")])
  }
}
