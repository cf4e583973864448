private import CISAL

/// The parts of a PNG file, and limits for those that libpng reads.
extension PNG {
  /// What every file begins with (section 5.2).
  package static let signature: [UInt8] = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]

  /// The iTXt chunks of `texts`, one behind the other (PNG, section 11.3.3.4).
  static func chunks(of texts: [Text]) throws(PNGError) -> [UInt8] {
    var bytes: [UInt8] = []
    for text in texts {
      let keyword = Array(text.keyword.utf8)
      let isPrintable = keyword.allSatisfy { 0x20...0x7E ~= $0 }
      guard 1...79 ~= keyword.count, isPrintable, keyword.first != 0x20, keyword.last != 0x20,
        !text.text.utf8.contains(0)
      else { throw .invalidText(keyword: text.keyword) }
      // Keyword, NUL, not compressed, method 0, no language, no translated keyword.
      bytes += chunk("iTXt", keyword + [0, 0, 0, 0, 0] + Array(text.text.utf8))
    }
    return bytes
  }

  /// Length, type, data and checksum of one chunk.
  static func chunk(_ type: String, _ data: [UInt8]) -> [UInt8] {
    let body = Array(type.utf8) + data
    return bigEndian(UInt32(data.count)) + body + bigEndian(checksum(body))
  }

  /// The uncompressed iTXt chunks of a PNG file; none where it is damaged.
  package static func texts(in bytes: [UInt8]) -> [Text] {
    var texts: [Text] = []
    var position = signature.count
    while let next = chunkEnd(in: bytes, at: position) {
      let data = bytes[position + 8..<next - 4]
      if Array(bytes[position + 4..<position + 8]) == Array("iTXt".utf8), let text = text(data) {
        texts.append(text)
      }
      position = next
    }
    return texts
  }

  /// What of a PNG file says what the pixels are.
  struct Picture {
    /// A file of the chunks that make the pixels, with sRGB's curve or the given power.
    var file: [UInt8]
    var encoding: ColorEncoding
    var orientation: Orientation
  }

  /// Takes a file apart into what libpng reads and what is read here.
  ///
  /// libpng takes as much memory as a chunk claims to need, before it looks whether the bytes are
  /// there, and as much as a compressed text becomes; its simplified interface has no limits to
  /// set. It also takes 16 bits without a word about colours for linear light, and knows neither
  /// cICP nor any profile but sRGB's.
  /// - Throws: `PNGError.damaged` if a chunk does not end in the file.
  static func picture(in bytes: [UInt8]) throws(PNGError) -> Picture {
    var kept: [UInt8] = []
    kept.reserveCapacity(bytes.count)
    var facts: [String: ArraySlice<UInt8>] = [:]
    var hasPixels = false
    var position = signature.count
    while position < bytes.count {
      guard let end = chunkEnd(in: bytes, at: position) else { throw .cutOff }
      let type = String(decoding: bytes[position + 4..<position + 8], as: UTF8.self)
      if type == "CgBI" { throw .damaged(reason: "it is of the kind that Xcode makes for iPhones") }
      if type == "IDAT" { hasPixels = true }
      // Unknown critical chunks, in capitals, are for libpng to refuse.
      if type == "tRNS" || type.first?.isUppercase == true {
        kept += bytes[position..<end]
      } else if facts[type] == nil, type == "eXIf" || !hasPixels && colorTypes.contains(type) {
        facts[type] = bytes[position + 8..<end - 4]
      }
      if type == "IEND" { break }
      position = end
    }
    guard hasPixels else { throw .cutOff }
    let encoding = encoding(facts)
    var file = signature + kept
    if let exponent = encoding.exponent {
      // Behind the header, as libpng wants it.
      let start = signature.count
      let header = chunkEnd(in: file, at: start) ?? start
      file.insert(
        contentsOf: chunk("gAMA", bigEndian(UInt32((exponent * 100_000).rounded()))), at: header)
    }
    return Picture(
      file: file, encoding: encoding,
      orientation: facts["eXIf"].map(Orientation.init(exif:)) ?? .upright)
  }

  private static let colorTypes: Set = ["cICP", "iCCP", "sRGB", "gAMA", "cHRM"]
  /// Of a profile; simple ones are small.
  private static let maximumProfileBytes = 16_384

  /// What colours the numbers are: by the first of cICP, iCCP, sRGB, gAMA and cHRM (section 4.3).
  private static func encoding(_ facts: [String: ArraySlice<UInt8>]) -> ColorEncoding {
    if let codes = facts["cICP"], let encoding = ColorEncoding(cicp: codes) { return encoding }
    if let profile = facts["iCCP"], profile.count <= maximumProfileBytes {
      return ColorProfile(iccp: profile)?.encoding ?? .sRGB
    }
    if facts["iCCP"] != nil || facts["sRGB"] != nil { return .sRGB }
    return ColorEncoding(gamma: facts["gAMA"], chromaticities: facts["cHRM"])
  }

  /// Where the chunk at `position` ends; nil if it does not end in the file.
  private static func chunkEnd(in bytes: [UInt8], at position: Int) -> Int? {
    guard position + 12 <= bytes.count else { return nil }
    let length = bytes[position..<position + 4].reduce(0) { $0 << 8 | Int($1) }
    let end = position + 12 + length
    return end <= bytes.count ? end : nil
  }

  private static func text(_ data: ArraySlice<UInt8>) -> Text? {
    let fields = data.split(separator: 0, maxSplits: 1, omittingEmptySubsequences: false)
    guard fields.count == 2, fields[1].count >= 4, fields[1].first == 0 else { return nil }
    let rest = fields[1].dropFirst(2).split(
      separator: 0, maxSplits: 2, omittingEmptySubsequences: false)
    guard rest.count == 3 else { return nil }
    return Text(
      keyword: String(decoding: fields[0], as: UTF8.self),
      text: String(decoding: rest[2], as: UTF8.self))
  }

  static func bigEndian(_ value: UInt32) -> [UInt8] {
    [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: value >> $0) }
  }

  /// CRC-32 of ISO 3309, as PNG wants it (annex D).
  package static func checksum(_ bytes: [UInt8]) -> UInt32 {
    defer { clear_upper_halves() }
    return crc32_gzip_refl(0, bytes, UInt64(bytes.count))
  }
}
