package import Diffusion
import Models

/// A picture that depends on prompt, style and seed, as an uncompressed PNG.
package enum TestPattern {
  package static let signature: [UInt8] = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]

  /// A disc of one colour, over nothing or over white.
  package static func png(_ request: PictureRequest, seed: UInt64) -> [UInt8] {
    var hash = seed &* 0x9E37_79B9_7F4A_7C15 &+ 1
    for byte in (request.prompt + (request.style ?? "")).utf8 {
      hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3
    }
    let colour = (0..<3).map { UInt8(truncatingIfNeeded: hash >> (8 * UInt64($0) + 24)) }
    let outside: [UInt8] = request.background == .opaque ? [255, 255, 255, 255] : [0, 0, 0, 0]
    var raw: [UInt8] = []
    let (width, height) = (request.size.width, request.size.height)
    raw.reserveCapacity((width * 4 + 1) * height)
    let centre = width / 2
    for y in 0..<height {
      raw.append(0)
      for x in 0..<width {
        let inside = (x - centre) * (x - centre) + (y - centre) * (y - centre) < centre * centre / 2
        raw.append(contentsOf: inside ? colour + [255] : outside)
      }
    }
    let header = bigEndian(width) + bigEndian(height) + [8, 6, 0, 0, 0]
    return signature + chunk("IHDR", header) + chunk("IDAT", zlib(raw)) + chunk("IEND", [])
  }

  /// RFC 1950 and 1951 with stored blocks.
  private static func zlib(_ bytes: [UInt8]) -> [UInt8] {
    var out: [UInt8] = [0x78, 0x01]
    var start = 0
    while start < bytes.count {
      let end = min(start + 65535, bytes.count)
      let count = UInt16(end - start)
      out.append(end == bytes.count ? 1 : 0)
      for half in [count, ~count] { out += [UInt8(half & 255), UInt8(half >> 8)] }
      out += bytes[start..<end]
      start = end
    }
    var a: UInt32 = 1
    var b: UInt32 = 0
    for byte in bytes {
      a = (a &+ UInt32(byte)) % 65521
      b = (b &+ a) % 65521
    }
    return out + bigEndian(Int(b << 16 | a))
  }

  private static func chunk(_ type: String, _ body: [UInt8]) -> [UInt8] {
    let content = Array(type.utf8) + body
    var crc: UInt32 = 0xFFFF_FFFF
    for byte in content { crc = crcTable[Int((crc ^ UInt32(byte)) & 255)] ^ (crc >> 8) }
    return bigEndian(body.count) + content + bigEndian(Int(crc ^ 0xFFFF_FFFF))
  }

  private static let crcTable: [UInt32] = (0..<256).map { index in
    (0..<8).reduce(UInt32(index)) { crc, _ in crc & 1 == 1 ? 0xEDB8_8320 ^ (crc >> 1) : crc >> 1 }
  }

  private static func bigEndian(_ value: Int) -> [UInt8] {
    withUnsafeBytes(of: UInt32(truncatingIfNeeded: value).bigEndian, Array.init)
  }
}
