/// Splits text into CLIP's words, one scalar at a time: in normalization form C and lower case, by
/// the pattern `'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+`.
struct CLIPWords {
  /// A word, or a part of one that is longer than `longestPiece`.
  struct Piece: Equatable {
    var bytes: [UInt8] = []
    /// Where it begins in the text, in UTF-8 bytes.
    var offset = 0
    var endsWord = true
  }

  /// Longer words come in pieces of so many bytes, so that no word costs more than its length.
  static let longestPiece = 1 << 14

  private enum Kind {
    case none, letters, other
    /// An apostrophe, and the first letter of what may belong to it.
    case contraction(PlacedScalar)
  }

  private var kind = Kind.none
  private var piece = Piece()
  private var finished: [Piece] = []

  /// Calls `body` with the pieces of `text` until it returns false.
  static func forEachPiece(of text: String, _ body: (Piece) -> Bool) {
    var words = CLIPWords()
    var composer = CanonicalComposer()
    var offset = 0
    for scalar in text.unicodeScalars {
      composer.accept(scalar.value, at: offset)
      offset += UTF8.width(scalar)
      if !words.take(from: &composer, body) { return }
    }
    composer.finish()
    if !words.take(from: &composer, body) { return }
    words.finishWord()
    for piece in words.finished where !body(piece) { return }
  }

  private mutating func take(
    from composer: inout CanonicalComposer, _ body: (Piece) -> Bool
  ) -> Bool {
    for scalar in composer.finished {
      accept(scalar)
      for piece in finished where !body(piece) { return false }
      finished.removeAll(keepingCapacity: true)
    }
    composer.removeFinished()
    return true
  }

  private mutating func accept(_ scalar: PlacedScalar) {
    if CLIPUnicode.spaceSet.contains(scalar.value) { return finishWord() }
    if 0x41...0x5A ~= scalar.value {
      classify(PlacedScalar(value: scalar.value + 0x20, offset: scalar.offset))
    } else if let targets = CLIPUnicode.lowercaseTargets[scalar.value] {
      for target in targets { classify(PlacedScalar(value: target, offset: scalar.offset)) }
    } else {
      classify(scalar)
    }
  }

  private mutating func classify(_ scalar: PlacedScalar) {
    if CLIPUnicode.letterSet.contains(scalar.value) {
      appendLetter(scalar)
    } else if CLIPUnicode.numberSet.contains(scalar.value) {
      finishWord()
      push(scalar)
      finishWord()
    } else {
      if case .other = kind {} else { finishWord() }
      kind = .other
      push(scalar)
    }
  }

  private mutating func appendLetter(_ letter: PlacedScalar) {
    switch kind {
    case .other where piece.bytes == Array("'".utf8):
      switch Unicode.Scalar(letter.value) {
      case "s", "t", "m", "d":
        push(letter)
        return finishWord()
      case "r", "v", "l":
        kind = .contraction(letter)
        return
      default: break
      }
    case .contraction(let first):
      switch (Unicode.Scalar(first.value), Unicode.Scalar(letter.value)) {
      case ("r", "e"), ("v", "e"), ("l", "l"):
        kind = .other
        push(first)
        push(letter)
        return finishWord()
      default: separateApostrophe(from: first)
      }
    case .none, .letters, .other: break
    }
    if case .letters = kind {} else { finishWord() }
    kind = .letters
    push(letter)
  }

  /// What begins like a contraction and is none: the letter begins a word of its own.
  private mutating func separateApostrophe(from letter: PlacedScalar) {
    finishPiece()
    kind = .letters
    push(letter)
  }

  private mutating func push(_ scalar: PlacedScalar) {
    if piece.bytes.count >= Self.longestPiece { finishPiece(endsWord: false) }
    // Marks may have changed places.
    piece.offset = piece.bytes.isEmpty ? scalar.offset : min(piece.offset, scalar.offset)
    if let scalar = Unicode.Scalar(scalar.value) {
      piece.bytes.append(contentsOf: UTF8.encode(scalar)!)
    }
  }

  private mutating func finishWord() {
    if case .contraction(let letter) = kind { separateApostrophe(from: letter) }
    kind = .none
    finishPiece()
  }

  private mutating func finishPiece(endsWord: Bool = true) {
    if piece.bytes.isEmpty { return }
    piece.endsWord = endsWord
    finished.append(piece)
    piece.bytes.removeAll(keepingCapacity: true)
  }
}
