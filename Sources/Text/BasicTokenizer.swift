/// Splits text into BERT's words, one scalar at a time: cleans it, sets ideographs and punctuation
/// apart, and with `lowercase` also lower-cases and strips accents.
///
/// Devlin et al. 2018, "BERT: Pre-training of Deep Bidirectional Transformers", appendix A.2 and
/// its published code (BasicTokenizer).
struct BasicTokenizer {
  let lowercase: Bool
  /// Longer words are all the same to WordPiece, so no more of them is kept than one scalar beyond.
  let longestWord: Int

  private var word: [UInt32] = []
  private var pendingMarks: [(scalar: UInt32, combiningClass: UInt8)] = []
  private var finished: [[UInt32]] = []

  init(lowercase: Bool, longestWord: Int) {
    self.lowercase = lowercase
    self.longestWord = longestWord
  }

  /// The words of `text`, as scalars, until `body` returns false.
  static func forEachWord(
    of text: String, lowercase: Bool, longestWord: Int, _ body: ([UInt32]) -> Bool
  ) {
    var tokenizer = BasicTokenizer(lowercase: lowercase, longestWord: longestWord)
    for scalar in text.unicodeScalars {
      tokenizer.accept(scalar.value)
      for word in tokenizer.finished where !body(word) { return }
      tokenizer.finished.removeAll(keepingCapacity: true)
    }
    tokenizer.endWord()
    for word in tokenizer.finished where !body(word) { return }
  }

  private mutating func accept(_ scalar: UInt32) {
    if UnicodeTables.removedSet.contains(scalar) { return }
    if UnicodeTables.spaceSet.contains(scalar) { return endWord() }
    let isIdeograph = UnicodeTables.ideographSet.contains(scalar)
    if isIdeograph { endWord() }
    if lowercase { decompose(scalar) } else { append(scalar) }
    if isIdeograph { endWord() }
  }

  private mutating func decompose(_ scalar: UInt32) {
    if scalar >= 0x80, UnicodeTables.markSet.contains(scalar) {
      if UnicodeTables.fixedMarkSet.contains(scalar) { settleMarks() }
      return
    }
    var targets: [UInt32] = []
    UnicodeTables.scalarMapping.forEachTarget(of: scalar) { targets.append($0) }
    for target in targets {
      if target >= 0x80, let combiningClass = UnicodeTables.movingClasses[target] {
        pendingMarks.append((target, combiningClass))
      } else {
        settleMarks()
        append(target)
      }
    }
  }

  /// Puts marks that follow one another in canonical order (The Unicode Standard, section 3.11).
  private mutating func settleMarks() {
    if pendingMarks.isEmpty { return }
    let ordered = pendingMarks.enumerated().sorted {
      ($0.element.combiningClass, $0.offset) < ($1.element.combiningClass, $1.offset)
    }
    pendingMarks.removeAll(keepingCapacity: true)
    for mark in ordered { append(mark.element.scalar) }
  }

  private mutating func append(_ scalar: UInt32) {
    if UnicodeTables.punctuationSet.contains(scalar) {
      finishWord()
      finished.append([scalar])
    } else if word.count <= longestWord {
      word.append(scalar)
    }
  }

  private mutating func endWord() {
    settleMarks()
    finishWord()
  }

  private mutating func finishWord() {
    if word.isEmpty { return }
    finished.append(word)
    word.removeAll(keepingCapacity: true)
  }
}
