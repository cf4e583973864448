/// Unicode as CLIP's published tokenizer has it, whatever the Unicode version of the runtime.
enum CLIPUnicode {
  static let letterSet = ScalarSet(letters)
  static let numberSet = ScalarSet(numbers)
  static let spaceSet = ScalarSet(spaces)
  static let lowercaseTargets = ScalarMapping(lowercase).targets

  /// The two scalars that a scalar is composed of; the first may be composed too.
  static let pairTargets = ScalarMapping(pairs).targets
  /// What a scalar is decomposed into that nothing composes again.
  static let replacedTargets = ScalarMapping(replaced).targets
  /// Canonical combining classes that are not 0.
  static let classes = UnicodeTables.combiningClasses(combiningClasses)

  private static let composites: [UInt64: UInt32] = {
    var composites: [UInt64: UInt32] = [:]
    for (composite, pair) in pairTargets { composites[key(pair[0], pair[1])] = composite }
    return composites
  }()

  private static func key(_ first: UInt32, _ second: UInt32) -> UInt64 {
    UInt64(first) << 32 | UInt64(second)
  }

  /// What `first` and `second` are composed to, if they are.
  static func composite(_ first: UInt32, _ second: UInt32) -> UInt32? {
    // The Unicode Standard, section 3.12: a Hangul syllable is two or three jamo.
    if 0x1100...0x1112 ~= first, 0x1161...0x1175 ~= second {
      return 0xAC00 + ((first - 0x1100) * 21 + (second - 0x1161)) * 28
    }
    if 0xAC00...0xD7A3 ~= first, (first - 0xAC00) % 28 == 0, 0x11A8...0x11C2 ~= second {
      return first + second - 0x11A7
    }
    return composites[key(first, second)]
  }
}
