private import CISAL

#if canImport(Glibc)
  private import Glibc
#elseif canImport(Musl)
  private import Musl
#endif

/// The simple kind of colour profile (ICC.1:2022): a curve for each channel, then a matrix.
struct ColorProfile {
  /// What simple profiles are smaller than, unpacked.
  private static let maximumBytes = 64 << 10

  private let bytes: [UInt8]

  /// Reads the profile in a PNG's iCCP chunk (section 11.3.2.3): a name, the method, the profile.
  init?(iccp chunk: ArraySlice<UInt8>) {
    guard let end = chunk.prefix(80).firstIndex(of: 0), end + 2 < chunk.endIndex,
      chunk[end + 1] == 0, let profile = Self.inflated(Array(chunk[(end + 2)...]))
    else { return nil }
    bytes = profile
  }

  private static func inflated(_ packed: [UInt8]) -> [UInt8]? {
    let state = UnsafeMutablePointer<inflate_state>.allocate(capacity: 1)
    defer { state.deallocate() }
    var source = packed
    var isWhole = false
    defer { clear_upper_halves() }
    let profile = source.withUnsafeMutableBufferPointer { source in
      [UInt8](unsafeUninitializedCapacity: maximumBytes) { target, count in
        isal_inflate_init(state)
        state.pointee.crc_flag = UInt32(ISAL_ZLIB)
        state.pointee.next_in = source.baseAddress
        state.pointee.avail_in = UInt32(source.count)
        state.pointee.next_out = target.baseAddress
        state.pointee.avail_out = UInt32(target.count)
        isWhole = isal_inflate_stateless(state) == ISAL_DECOMP_OK
        count = isWhole ? Int(state.pointee.total_out) : 0
      }
    }
    return isWhole ? profile : nil
  }

  /// Its curve and its channels; nil for one that is not simple, or damaged.
  var encoding: ColorEncoding? {
    guard text(at: 36) == "acsp" else { return nil }
    switch text(at: 16) {
    case "GRAY":
      guard let curve = tag("kTRC").flatMap(curve) else { return nil }
      return ColorEncoding(exponent: exponent(of: curve), primaries: nil)
    case "RGB ":
      // Programs draw three equal curves; one stands for all.
      guard let red = color("rXYZ"), let green = color("gXYZ"), let blue = color("bXYZ"),
        let curve = tag("gTRC").flatMap(curve), let matrix = Matrix(underD50: red, green, blue)
      else { return nil }
      return ColorEncoding(exponent: exponent(of: curve), primaries: matrix)
    default: return nil
    }
  }

  /// The power that `curve` is; nil for sRGB's curve and for what is no power.
  private func exponent(of curve: (Double) -> Double) -> Double? {
    let places = stride(from: 0.1, through: 0.9, by: 0.1)
    if places.allSatisfy({ abs(curve($0) - Self.sRGBLight($0)) < 0.01 }) { return nil }
    let middle = curve(0.5)
    guard middle > 0.001, middle < 0.999 else { return nil }
    let power = log(middle) / log(0.5)
    return places.allSatisfy { abs(curve($0) - pow($0, power)) < 0.02 } ? 1 / power : nil
  }

  /// Light of a number (IEC 61966-2-1), both 0 to 1.
  static func sRGBLight(_ value: Double) -> Double {
    value <= 0.04045 ? value / 12.92 : pow((value + 0.055) / 1.055, 2.4)
  }

  /// The number of light.
  static func sRGBValue(_ light: Double) -> Double {
    light <= 0.003_130_8 ? light * 12.92 : 1.055 * pow(light, 1 / 2.4) - 0.055
  }

  /// A curve of the types `curv` and `para` (sections 10.6 and 10.18), from number to light.
  private func curve(at position: Int) -> ((Double) -> Double)? {
    switch text(at: position) {
    case "curv":
      guard let count = integer(at: position + 8, bytes: 4) else { return nil }
      if count == 0 { return { $0 } }
      if count == 1 {
        guard let gamma = integer(at: position + 12, bytes: 2) else { return nil }
        return { pow($0, Double(gamma) / 256) }
      }
      guard count <= 65_536, position + 12 + 2 * count <= bytes.count else { return nil }
      return { place in
        let index = Int((place * Double(count - 1)).rounded())
        return Double(integer(at: position + 12 + 2 * index, bytes: 2) ?? 0) / 65_535
      }
    case "para":
      // Those with a power and a straight beginning, types 0 and 3, are what pictures have.
      guard let type = integer(at: position + 8, bytes: 2), let g = fixed(at: position + 12)
      else { return nil }
      if type == 0 { return { pow($0, g) } }
      guard type == 3, let a = fixed(at: position + 16), let b = fixed(at: position + 20),
        let c = fixed(at: position + 24), let d = fixed(at: position + 28)
      else { return nil }
      return { $0 >= d ? pow(max(a * $0 + b, 0), g) : c * $0 }
    default: return nil
    }
  }

  /// Where a tag's data begin.
  private func tag(_ name: String) -> Int? {
    guard let count = integer(at: 128, bytes: 4) else { return nil }
    for index in 0..<min(count, 100) where text(at: 132 + 12 * index) == name {
      return integer(at: 136 + 12 * index, bytes: 4)
    }
    return nil
  }

  private func color(_ name: String) -> SIMD3<Double>? {
    guard let position = tag(name), text(at: position) == "XYZ ", let x = fixed(at: position + 8),
      let y = fixed(at: position + 12), let z = fixed(at: position + 16)
    else { return nil }
    return SIMD3(x, y, z)
  }

  private func integer(at position: Int, bytes count: Int) -> Int? {
    guard position >= 0, position <= bytes.count - count else { return nil }
    return bytes[position..<position + count].reduce(0) { $0 << 8 | Int($1) }
  }

  /// s15Fixed16Number.
  private func fixed(at position: Int) -> Double? {
    integer(at: position, bytes: 4).map {
      Double(Int32(truncatingIfNeeded: $0)) / 65_536
    }
  }

  private func text(at position: Int) -> String? {
    guard position >= 0, position <= bytes.count - 4 else { return nil }
    return String(decoding: bytes[position..<position + 4], as: UTF8.self)
  }
}

extension Pixels {
  /// The picture with channels of other colours turned into sRGB's; its curve is sRGB's already.
  func converted(from primaries: Matrix) -> Pixels {
    let light = (0...255).map { Float(ColorProfile.sRGBLight(Double($0) / 255)) }
    let steps = 16_383
    let values = (0...steps).map {
      UInt8((ColorProfile.sRGBValue(Double($0) / Double(steps)) * 255).rounded())
    }
    let rows = primaries.rows.map { SIMD3<Float>($0) }
    var converted = bytes
    for pixel in stride(from: 0, to: bytes.count, by: 4) {
      let source = SIMD3(
        light[Int(bytes[pixel])], light[Int(bytes[pixel + 1])], light[Int(bytes[pixel + 2])])
      for channel in 0..<3 {
        let amount = min(max((rows[channel] * source).sum(), 0), 1)
        converted[pixel + channel] = values[Int(amount * Float(steps) + 0.5)]
      }
    }
    return Pixels(width: width, height: height, bytes: converted)
  }
}
