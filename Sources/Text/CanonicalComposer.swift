/// A scalar of a text and where it stands there.
struct PlacedScalar: Equatable {
  var value: UInt32
  /// Where what it is made of begins, in UTF-8 bytes.
  let offset: Int
}

/// Puts scalars into normalization form C as they come (The Unicode Standard, section 3.11).
struct CanonicalComposer {
  /// What later scalars cannot change any more.
  private(set) var finished: [PlacedScalar] = []

  private var starter: PlacedScalar?
  private var marks: [(scalar: PlacedScalar, combiningClass: UInt8)] = []

  mutating func accept(_ scalar: UInt32, at offset: Int) {
    // Nothing below U+00C0 is decomposed, and nothing below U+0300 is the second of a pair.
    if scalar < 0xC0 {
      finish()
      starter = PlacedScalar(value: scalar, offset: offset)
    } else {
      decompose(scalar, offset)
    }
  }

  /// Ends the text.
  mutating func finish() {
    composeMarks()
    flush()
  }

  mutating func removeFinished() { finished.removeAll(keepingCapacity: true) }

  private mutating func decompose(_ scalar: UInt32, _ offset: Int) {
    if let pair = CLIPUnicode.pairTargets[scalar] {
      decompose(pair[0], offset)
      append(PlacedScalar(value: pair[1], offset: offset))
    } else if let targets = CLIPUnicode.replacedTargets[scalar] {
      for target in targets { append(PlacedScalar(value: target, offset: offset)) }
    } else {
      append(PlacedScalar(value: scalar, offset: offset))
    }
  }

  private mutating func append(_ scalar: PlacedScalar) {
    if let combiningClass = CLIPUnicode.classes[scalar.value] {
      marks.append((scalar, combiningClass))
      return
    }
    composeMarks()
    if marks.isEmpty, let first = starter?.value,
      let composite = CLIPUnicode.composite(first, scalar.value)
    {
      starter?.value = composite
      return
    }
    flush()
    starter = scalar
  }

  /// Orders the marks by class and composes the starter with those that nothing blocks.
  private mutating func composeMarks() {
    if marks.isEmpty { return }
    if zip(marks, marks.dropFirst()).contains(where: { $0.combiningClass > $1.combiningClass }) {
      let ordered = marks.enumerated().sorted {
        ($0.element.combiningClass, $0.offset) < ($1.element.combiningClass, $1.offset)
      }
      marks = ordered.map(\.element)
    }
    guard let first = starter?.value else { return }
    var composite = first
    var kept: [(scalar: PlacedScalar, combiningClass: UInt8)] = []
    for mark in marks {
      let isBlocked = kept.last?.combiningClass == mark.combiningClass
      if !isBlocked, let next = CLIPUnicode.composite(composite, mark.scalar.value) {
        composite = next
      } else {
        kept.append(mark)
      }
    }
    starter?.value = composite
    marks = kept
  }

  private mutating func flush() {
    if let starter { finished.append(starter) }
    starter = nil
    for mark in marks { finished.append(mark.scalar) }
    marks.removeAll(keepingCapacity: true)
  }
}
