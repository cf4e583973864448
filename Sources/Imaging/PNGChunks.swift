private import CDeflate

/// The parts of a PNG file, and limits for those that libpng reads.
extension PNG {
  static let signature: [UInt8] = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]

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

  /// A file with only the chunks that say what the pixels are.
  ///
  /// libpng takes as much memory as a chunk claims to need, before it looks whether the bytes are
  /// there, and as much as a compressed text becomes; its simplified interface has no limits to
  /// set.
  /// - Throws: `PNGError.damaged` if a chunk does not end in the file.
  static func pictureChunks(of bytes: [UInt8]) throws(PNGError) -> [UInt8] {
    var kept = signature
    kept.reserveCapacity(bytes.count)
    var position = signature.count
    while position < bytes.count {
      guard let end = chunkEnd(in: bytes, at: position) else {
        throw .damaged(reason: "a chunk is longer than the file")
      }
      let type = String(decoding: bytes[position + 4..<position + 8], as: UTF8.self)
      // Of a profile libpng only sees whether it is the one of sRGB, which is small. Unknown
      // critical chunks, in capitals, are for libpng to refuse.
      let isKept =
        switch type {
        case "tRNS", "gAMA", "cHRM", "sRGB": true
        case "iCCP": end - position <= 16_384
        default: type.first?.isUppercase == true
        }
      if isKept { kept += bytes[position..<end] }
      if type == "IEND" { break }
      position = end
    }
    return kept
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
    libdeflate_crc32(0, bytes, bytes.count)
  }
}
