/// How a picture is to be turned before it is looked at (Exif 2.32, tag 0x0112): where the first
/// row and the first column of what is stored belong.
enum Orientation: UInt16 {
  case upright = 1
  case mirrored, upsideDown, mirroredUpsideDown
  case transposed, clockwise, transverse, counterclockwise

  private static let tag = 0x0112

  /// Reads a PNG's eXIf chunk; upright where it says nothing that can be understood.
  init(exif bytes: ArraySlice<UInt8>) {
    self = Self.value(in: bytes).flatMap(Orientation.init) ?? .upright
  }

  /// The tag's number in the first directory of a TIFF header (Exif 2.32, section 4.6.2).
  private static func value(in bytes: ArraySlice<UInt8>) -> UInt16? {
    // Some writers keep the prefix that Exif has in JPEG.
    let prefix = Array("Exif\0\0".utf8)
    let bytes = Array(bytes.starts(with: prefix) ? bytes.dropFirst(prefix.count) : bytes)
    guard bytes.count >= 8 else { return nil }
    let isLittle: Bool
    switch Array(bytes[..<4]) {
    case [0x49, 0x49, 0x2A, 0]: isLittle = true
    case [0x4D, 0x4D, 0, 0x2A]: isLittle = false
    default: return nil
    }
    func number(at position: Int, bytes count: Int) -> Int? {
      guard position >= 0, position <= bytes.count - count else { return nil }
      let digits = bytes[position..<position + count]
      return (isLittle ? Array(digits.reversed()) : Array(digits)).reduce(0) { $0 << 8 | Int($1) }
    }
    guard let directory = number(at: 4, bytes: 4), let entries = number(at: directory, bytes: 2)
    else { return nil }
    for entry in 0..<entries {
      let position = directory + 2 + entry * 12
      guard let tag = number(at: position, bytes: 2) else { return nil }
      guard tag == Self.tag, let type = number(at: position + 2, bytes: 2) else { continue }
      // SHORT, as the standard has it, or LONG.
      return number(at: position + 8, bytes: type == 4 ? 4 : 2).flatMap { UInt16(exactly: $0) }
    }
    return nil
  }
}

extension Pixels {
  /// The picture as it is meant to be seen.
  func turned(_ orientation: Orientation) -> Pixels {
    if orientation == .upright { return self }
    let isSideways = orientation.rawValue >= Orientation.transposed.rawValue
    let (newWidth, newHeight) = isSideways ? (height, width) : (width, height)
    var turned = [UInt8](repeating: 0, count: bytes.count)
    for y in 0..<newHeight {
      for x in 0..<newWidth {
        let (sourceX, sourceY) =
          switch orientation {
          case .upright: (x, y)
          case .mirrored: (width - 1 - x, y)
          case .upsideDown: (width - 1 - x, height - 1 - y)
          case .mirroredUpsideDown: (x, height - 1 - y)
          case .transposed: (y, x)
          case .clockwise: (y, height - 1 - x)
          case .transverse: (width - 1 - y, height - 1 - x)
          case .counterclockwise: (width - 1 - y, x)
          }
        let (source, target) = ((sourceY * width + sourceX) * 4, (y * newWidth + x) * 4)
        for channel in 0..<4 { turned[target + channel] = bytes[source + channel] }
      }
    }
    return Pixels(width: newWidth, height: newHeight, bytes: turned)
  }
}
