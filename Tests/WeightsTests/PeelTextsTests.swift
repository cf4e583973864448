import Testing

@testable import Weights

/// What a peel says of itself, however long it is.
@Suite struct PeelTextsTests {
  @Test func metadataIsShown() throws {
    let peel = try PeelFixture.read(
      PeelFixture.peft(),
      metadata: [
        "modelspec.title": "Pixel art ", "modelspec.trigger_phrase": "pixel art, 8-bit",
        "modelspec.license": "MIT", "modelspec.architecture": "sticker/lora",
        "banana.base_sha256": "ABCD",
      ])
    let texts = peel.texts
    #expect(texts.title == "Pixel art" && texts.triggerWords == ["pixel art", "8-bit"])
    #expect(texts.license == "MIT" && texts.baseModel == "sticker")
    #expect(texts.baseModelHash == "abcd" && texts.metadata.count == 5)
    #expect(peel.sha256.count == 64 && peel.byteCount > 0 && peel.warnings.isEmpty)
    let bare = try PeelFixture.read(PeelFixture.peft()).texts
    #expect(bare.title == nil && bare.triggerWords.isEmpty && bare.baseModelHash == nil)
  }

  @Test func longTextsAreCut() throws {
    let long = String(repeating: "é", count: 500_000)
    let peel = try PeelFixture.read(
      PeelFixture.peft(),
      metadata: [
        "modelspec.title": long, "modelspec.license": long, "modelspec.architecture": long,
        "modelspec.trigger_phrase": String(repeating: "word, ", count: 500_000),
      ])
    let texts = peel.texts
    for text in [texts.title, texts.license, texts.baseModel] {
      #expect(text == String(repeating: "é", count: PeelTexts.lineBytes / 2))
    }
    #expect(texts.triggerWords == Array(repeating: "word", count: PeelTexts.triggerWords))
    #expect(texts.metadata.isEmpty && peel.warnings.count == 4)
    // A character of many scalars is kept whole or not at all.
    let family = PeelTexts(["modelspec.title": "a" + "\u{301}".repeated(100_000)])
    #expect(family.title == nil && family.warnings.count == 1)
    let exact = PeelTexts(["modelspec.title": String(repeating: "a", count: PeelTexts.lineBytes)])
    #expect(exact.title?.utf8.count == PeelTexts.lineBytes && exact.warnings.isEmpty)
    let lines = PeelTexts(["modelspec.title": "\u{1B}[31m\na\r\nb"])
    #expect(lines.title?.unicodeScalars.contains { $0.value < 32 } == false)
  }

  @Test func metadataHasARoom() {
    let many = (0..<5000).map { ("key\($0)", String(repeating: "x", count: 1000)) }
    let kept = PeelTexts(Dictionary(uniqueKeysWithValues: many)).metadata
    #expect(!kept.isEmpty)
    #expect(kept.reduce(0) { $0 + $1.key.utf8.count + $1.value.utf8.count } <= PeelTexts.totalBytes)
    let short = (0..<5000).map { ("key\($0)", "") }
    #expect(
      PeelTexts(Dictionary(uniqueKeysWithValues: short)).metadata.count == PeelTexts.entries)
  }

  @Test func largeNumbersAreWarnedOf() throws {
    let stem = "denoiser.layers.0.qkv"
    for (value, isWarned) in [(Float(3e38), true), (1e3, true), (1, false)] {
      let peel = try PeelFixture.read([
        PeelFixture.tensor("\(stem).lora_A.weight", [2, 4], Array(repeating: value, count: 8)),
        PeelFixture.tensor("\(stem).lora_B.weight", [3, 2], Array(repeating: value, count: 6)),
      ])
      #expect(peel.warnings.contains { $0.contains("so large") } == isWarned, "\(value)")
    }
    #expect(throws: PeelError.tooLargeNumbers(tensor: "\(stem).lora_B.weight")) {
      try PeelFixture.read(
        [
          PeelFixture.tensor("\(stem).lora_A.weight", [1, 1], [1]),
          PeelFixture.tensor("\(stem).lora_B.weight", [1, 1], [3e38]),
        ], metadata: ["lora_alpha": "4"])
    }
  }
}

extension String {
  fileprivate func repeated(_ count: Int) -> String { String(repeating: self, count: count) }
}
