import Testing

@testable import Text

@Suite struct EmojiNamesTests {
  @Test(arguments: [
    ("🍎", "red apple"), ("two 🍎🍎 and a🍌!", "two red apple red apple and a banana !"),
    // Skin tones, genders, roles, hair, families, couples.
    ("👋🏽", "waving hand: medium skin tone"), ("👩‍✈️", "woman pilot"), ("👩‍✈", "woman pilot"),
    ("🧑🏿‍🚀", "astronaut: dark skin tone"), ("👩🏽‍🦰", "woman: medium skin tone, red hair"),
    ("👨‍👩‍👧", "family: man, woman, girl"),
    ("👨🏻‍🤝‍👨🏿", "men holding hands: light skin tone, dark skin tone"),
    ("👩‍❤️‍💋‍👨", "kiss: woman, man"), ("👩🏻‍❤️‍💋‍👩🏻", "kiss: woman, woman, light skin tone"),
    ("👨🏽‍👧", "family: man, girl, medium skin tone"),
    ("👱🏻‍♀️", "woman: light skin tone, blond hair"),
    // Flags of countries, of subdivisions, of what is no country; keycaps; joined animals.
    ("🇩🇪", "flag: Germany"), ("🇩🇪🇫🇷", "flag: Germany flag: France"),
    ("🏴󠁧󠁢󠁳󠁣󠁴󠁿", "flag: Scotland"), ("🏴󠁵󠁳󠁴󠁸󠁿 state", "black flag state"), ("🏳️‍🌈", "rainbow flag"),
    ("1️⃣ 2⃣ #️⃣", "keycap: 1 keycap: 2 keycap: #"), ("🐻‍❄️", "polar bear"), ("🐻‍🔥", "bear fire"),
    // Selectors: with one, without, and the one for text.
    ("❤️", "red heart"), ("❤", "red heart"), ("☀️ on sea", "sun on sea"), ("❤️‍🔥", "heart on fire"),
    ("©️", "copyright"), ("🍎\u{FE0F}x", "red apple x"),
    // Later than the table: by Unicode's own name.
    ("🪿", "goose"), ("a 🩷", "a pink heart"),
  ])
  func emojiBecomeTheirNames(text: String, spelled: String) {
    #expect(EmojiNames.spelledOut(text) == spelled)
  }

  @Test(arguments: [
    "a red apple", "", "1 #2 *3", "©™ 2024 → ↔ ‼", "• ▪ ▶ list", "café Ünïcode 中文 한국 の",
    "❤\u{FE0E}", "☀\u{FE0E} x", "e\u{301}\u{FE0F}", "\u{200D}\u{FE0F}\u{20E3}", "★ ♪ ♯ √ ∞", "㊗",
    "\r\n\u{E0067}", "🇩 alone", "１",
  ])
  func otherTextStaysAsItIs(text: String) {
    let spelled = EmojiNames.spelledOut(text)
    #expect(Array(spelled.unicodeScalars) == Array(text.unicodeScalars))
  }

  @Test func theTableIsRead() {
    // Lines of the table, and what the rule for skin tones adds.
    #expect(EmojiNames.spelledOut("🥑") == "avocado")
    let tones = ["light", "medium-light", "medium", "medium-dark", "dark"]
    for (tone, scalar) in zip(tones, "🏻🏼🏽🏾🏿".unicodeScalars) {
      #expect(EmojiNames.spelledOut("🧙\(scalar)") == "mage: \(tone) skin tone")
    }
  }

  @Test func whatIsKnownOfAPromptIsTold() throws {
    let vocabulary = ["[UNK]", "[CLS]", "[SEP]", "red", "apple", "!", "##s"]
    let tokenizer = try WordPieceTokenizer(
      vocabulary: Array(vocabulary.joined(separator: "\n").utf8), lowercase: true)
    for known in ["red", "xyz apples", "🍎 red"] { #expect(tokenizer.knowsWord(in: known)) }
    for unknown in ["", "🍎", "xyz ! qq", "!!", "\u{200B}", "🜁 🜂"] {
      #expect(!tokenizer.knowsWord(in: unknown))
    }
    #expect(tokenizer.knowsWord(in: EmojiNames.spelledOut("🍎")))
  }
}
