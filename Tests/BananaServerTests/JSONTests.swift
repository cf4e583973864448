import BananaAPI
import BananaServer
import BananaTesting
import FoundationEssentials
import NIOCore
import Serving
import Testing

/// JSON that decoders trip over, take in silence, or are kept busy by.
@Suite(.timeLimit(.minutes(5))) struct JSONTests {
  struct Wrong: Sendable, CustomTestStringConvertible {
    var body: String
    var param: String?
    var message: String
    var testDescription: String { message }

    init(_ body: String, _ param: String?, _ message: String) {
      (self.body, self.param, self.message) = (body, param, message)
    }
  }

  private static func nested(_ depth: Int) -> String {
    String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
  }

  static let wrong: [Wrong] = [
    Wrong(#"{"prompt":"p","prompt":"q"}"#, "prompt", "the key \"prompt\" comes twice"),
    Wrong(#"{"prompt":"p","pr\u006fmpt":"q"}"#, "prompt", "the key \"prompt\" comes twice"),
    Wrong(
      #"{"prompt":"p","peels":[{"name":"a","name":"b"}]}"#, "peels",
      "the key \"name\" comes twice"),
    Wrong("{\"prompt\":\"a\nb\"}", "prompt", #"U+000A, in a string; JSON writes it \u000A"#),
    Wrong("{\"prompt\":\"a\u{0}b\"}", "prompt", "a raw control character, U+0000"),
    Wrong("{\"a\tb\":1}", nil, "a raw control character, U+0009"),
    Wrong(#"{"prompt":"\ud800"}"#, "prompt", "half a surrogate pair"),
    Wrong(#"{"prompt":"p","n":1e}"#, "n", "a value expected"),
    Wrong(#"{"prompt":"p","n":01}"#, "n", "a number begins with 0"),
    Wrong(#"{"prompt":"p","seed":1\#(String(repeating: "0", count: 500))}"#, "seed", "a number of"),
    Wrong(#"{"prompt":"p","peels":\#(nested(9))}"#, "peels", "nested too deeply"),
    Wrong(#"{"prompt":"p","peels":\#(nested(100_000))}"#, "peels", "nested too deeply"),
    Wrong(
      "{\"prompt\":\"p\",\"peels\":[\(String(repeating: "1,", count: 2000))1]}", "peels",
      "more than 1024 values"),
    Wrong("\u{FEFF}{\"prompt\":\"p\"}", nil, "a byte order mark"),
    Wrong("", nil, "it is empty"),
    Wrong(#"{"prompt":"p"}{"prompt":"q"}"#, nil, "nothing more expected"),
    Wrong(#"{"prompt":'p'}"#, "prompt", "a value expected"),
    Wrong(#"{"prompt":"p","n":NaN}"#, "n", "a value expected"),
  ]

  @Test(arguments: wrong) func isNamedAsWhatItIs(_ wrong: Wrong) throws {
    let error = #expect(throws: APIError.self) {
      try WireJSON.decode(ImageGenerationRequest.self, from: ByteBuffer(string: wrong.body))
    }
    #expect(error?.code == .invalidRequest && error?.param == wrong.param, "\(error as Any)")
    #expect(error?.message.contains(wrong.message) == true, "\(error as Any)")
    #expect((error?.message.utf8.count ?? 0) < 512)
  }

  @Test func isAnsweredOverTheSocket() async throws {
    try await TestDaemon.serving { daemon async throws in
      let twice = try await post(#"{"prompt":"p","seed":1,"seed":2}"#, to: daemon)
      #expect(twice.status == 400 && twice.body.contains(#""param":"seed""#))
      let raw = try await post("{\"prompt\":\"a\tb\"}", to: daemon)
      #expect(raw.status == 400 && raw.body.contains("U+0009"))
    }
  }

  /// 24 seconds each, when every value of a form was tried as five types at each level.
  @Test(arguments: ["peels", "n", "seed", "prompt", "stream", "strength", "user"])
  func aNestedFieldOfAFormTakesNoTime(_ name: String) throws {
    let start = ContinuousClock.now
    for text in [Self.nested(32_000), String(repeating: "[", count: 64_000)] {
      var parts = [
        FormPart(name: "image", fileName: "x.png", bytes: [1]),
        FormPart(name: name, bytes: Array(text.utf8)),
      ]
      if name != "prompt" { parts.append(FormPart(name: "prompt", bytes: Array("p".utf8))) }
      _ = try? EditForm(parts)
    }
    #expect(ContinuousClock.now - start < .seconds(5))
  }

  @Test func fieldsOfAFormAreWhatTheyAre() throws {
    func form(_ fields: [(String, String)]) throws -> ImageGenerationRequest {
      try EditForm(
        [FormPart(name: "image", fileName: "x.png", bytes: [1])]
          + fields.map { FormPart(name: $0.0, bytes: Array($0.1.utf8)) }
      ).request
    }
    // What looks like another type is text where text is meant.
    let texts = try form([("prompt", "7"), ("user", "true"), ("quality", "[]")])
    #expect(texts.prompt == "7" && texts.user == "true" && texts.quality == "[]")
    let others = try form([
      ("prompt", "p"), ("n", "2"), ("guidance", "-0.0"), ("store", "true"),
      ("peels", #"["a", {"name": "b", "strength": 0.5}]"#),
    ])
    #expect(others.count == 2 && others.guidance == 0 && others.store == true)
    #expect(others.peels == [PeelReference(name: "a"), PeelReference(name: "b", strength: 0.5)])
    for (name, value) in [
      ("n", "true"), ("n", "[1]"), ("n", " 1"), ("n", "1,\"steps\":2"), ("store", "1"),
      ("store", "TRUE"), ("peels", "[1"), ("peels", #"[{"name":"a","name":"b"}]"#),
      ("peels", #"["a"],"n":3,"user":[]"#), ("strength", String(repeating: "1", count: 60_000)),
      ("strength", "0x1p-1"), ("strength", "nan"),
    ] {
      let error = #expect(throws: APIError.self) { try form([("prompt", "p"), (name, value)]) }
      #expect(error?.param == name, "\(name): \(error as Any)")
    }
  }

  @Test func aConfigFileSaysWhereItIsWrong() throws {
    let error = #expect(throws: SettingsError.self) {
      try Settings(json: .init(#"{"threads": 1, "threads": 2}"#.utf8), path: "c.json")
    }
    #expect("\(error!)".contains("the key \"threads\" comes twice, at byte"))
  }
}
