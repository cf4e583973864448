/// What a picture's numbers mean: the curve from light to numbers, and the colours of the three
/// channels.
///
/// Curves are sRGB's or a power of light; what is neither (PQ, HLG, tables) counts as sRGB's.
struct ColorEncoding: Equatable {
  static let sRGB = ColorEncoding(exponent: nil, primaries: nil)

  /// Numbers are light to this power; nil is sRGB's curve.
  var exponent: Double?
  /// Linear light of the channels to that of sRGB; nil where they are sRGB's own.
  var primaries: Matrix?

  init(exponent: Double?, primaries: Matrix?) {
    // A hundredth away from 1/2.2 is what files say that mean sRGB.
    self.exponent = exponent.flatMap { 0.1...10 ~= $0 && abs($0 - 1 / 2.2) > 0.01 ? $0 : nil }
    self.primaries = primaries.flatMap { $0.isNear(.identity) ? nil : $0 }
  }

  /// Code points of ITU-T H.273 (section 8.1 and 8.2), in a PNG's cICP chunk.
  init?(cicp bytes: ArraySlice<UInt8>) {
    guard bytes.count == 4 else { return nil }
    let codes = Array(bytes)
    let exponent: Double? =
      switch codes[1] {
      case 4: 1 / 2.2
      case 5: 1 / 2.8
      case 8: 1
      default: nil
      }
    let d65 = Chromaticity(0.3127, 0.3290)
    let primaries: Matrix? =
      switch codes[0] {
      case 9:
        Matrix(
          red: .init(0.708, 0.292), green: .init(0.170, 0.797), blue: .init(0.131, 0.046),
          white: d65)
      case 11, 12:
        Matrix(
          red: .init(0.680, 0.320), green: .init(0.265, 0.690), blue: .init(0.150, 0.060),
          white: codes[0] == 12 ? d65 : .init(0.314, 0.351))
      default: nil
      }
    self.init(exponent: exponent, primaries: primaries)
  }

  /// A PNG's gAMA and cHRM chunks (sections 11.3.2.1 and 11.3.2.2), either of which may be missing.
  init(gamma: ArraySlice<UInt8>?, chromaticities: ArraySlice<UInt8>?) {
    func numbers(_ bytes: ArraySlice<UInt8>, _ count: Int) -> [Double]? {
      guard bytes.count == 4 * count else { return nil }
      return (0..<count).map { index in
        let digits = bytes.dropFirst(4 * index).prefix(4)
        return Double(digits.reduce(0) { $0 << 8 | UInt32($1) }) / 100_000
      }
    }
    let places = chromaticities.flatMap { numbers($0, 8) }
    self.init(
      exponent: gamma.flatMap { numbers($0, 1)?[0] },
      primaries: places.flatMap {
        Matrix(
          red: .init($0[2], $0[3]), green: .init($0[4], $0[5]), blue: .init($0[6], $0[7]),
          white: .init($0[0], $0[1]))
      })
  }
}

/// A colour without its brightness (CIE 1931).
struct Chromaticity: Equatable {
  let x: Double
  let y: Double

  init(_ x: Double, _ y: Double) {
    (self.x, self.y) = (x, y)
  }

  /// The tristimulus values at brightness 1; nil for what no colour has.
  var tristimulus: SIMD3<Double>? {
    guard y > 0.001, x >= 0, x + y <= 1.2 else { return nil }
    return SIMD3(x / y, 1, (1 - x - y) / y)
  }
}

/// Three by three numbers.
struct Matrix: Equatable {
  var rows: [SIMD3<Double>]

  static let identity = Matrix(rows: [SIMD3(1, 0, 0), SIMD3(0, 1, 0), SIMD3(0, 0, 1)])

  /// sRGB's channels as tristimulus values under D50, from IEC 61966-2-1 by Bradford's adaptation.
  private static let sRGBUnderD50 = Matrix(rows: [
    SIMD3(0.436_065_7, 0.385_151_5, 0.143_078_4), SIMD3(0.222_493_2, 0.716_887_0, 0.060_616_9),
    SIMD3(0.013_923_9, 0.097_081_3, 0.714_099_4),
  ])
  private static let bradford = Matrix(rows: [
    SIMD3(0.8951, 0.2664, -0.1614), SIMD3(-0.7502, 1.7135, 0.0367), SIMD3(0.0389, -0.0685, 1.0296),
  ])
  private static let d50 = SIMD3(0.964_22, 1, 0.825_21)

  init(rows: [SIMD3<Double>]) {
    self.rows = rows
  }

  /// Channels of the given tristimulus values under D50, as profiles have them, to sRGB's.
  init?(underD50 red: SIMD3<Double>, _ green: SIMD3<Double>, _ blue: SIMD3<Double>) {
    guard let toSRGB = Self.sRGBUnderD50.inverse else { return nil }
    self = toSRGB * Matrix(columns: red, green, blue)
  }

  /// Channels of the given colours, which together are white, to sRGB's.
  init?(red: Chromaticity, green: Chromaticity, blue: Chromaticity, white: Chromaticity) {
    guard let r = red.tristimulus, let g = green.tristimulus, let b = blue.tristimulus,
      let w = white.tristimulus, let inverse = Matrix(columns: r, g, b).inverse,
      let unbradford = Self.bradford.inverse
    else { return nil }
    let shares = inverse * w
    let scales = (Self.bradford * Self.d50) / (Self.bradford * w)
    let adaptation =
      unbradford
      * Matrix(
        rows: [SIMD3(scales.x, 0, 0), SIMD3(0, scales.y, 0), SIMD3(0, 0, scales.z)])
      * Self.bradford
    self.init(
      underD50: adaptation * (r * shares.x), adaptation * (g * shares.y),
      adaptation * (b * shares.z))
    guard rows.allSatisfy({ row in (0..<3).allSatisfy { abs(row[$0]) < 100 } }) else { return nil }
  }

  private init(columns a: SIMD3<Double>, _ b: SIMD3<Double>, _ c: SIMD3<Double>) {
    rows = (0..<3).map { SIMD3(a[$0], b[$0], c[$0]) }
  }

  /// Cramer's rule; nil where there is none.
  private var inverse: Matrix? {
    func cross(_ a: SIMD3<Double>, _ b: SIMD3<Double>) -> SIMD3<Double> {
      SIMD3(a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x)
    }
    let determinant = (rows[0] * cross(rows[1], rows[2])).sum()
    guard abs(determinant) > 1e-6 else { return nil }
    return Matrix(
      columns: cross(rows[1], rows[2]) / determinant, cross(rows[2], rows[0]) / determinant,
      cross(rows[0], rows[1]) / determinant)
  }

  /// So near that no number of 8 bits changes by more than about one.
  func isNear(_ other: Matrix) -> Bool {
    zip(rows, other.rows).allSatisfy { mine, others in
      (0..<3).allSatisfy { abs(mine[$0] - others[$0]) < 0.005 }
    }
  }

  static func * (matrix: Matrix, vector: SIMD3<Double>) -> SIMD3<Double> {
    SIMD3(
      (matrix.rows[0] * vector).sum(), (matrix.rows[1] * vector).sum(),
      (matrix.rows[2] * vector).sum())
  }

  static func * (left: Matrix, right: Matrix) -> Matrix {
    let columns = (0..<3).map { column in
      left * SIMD3(right.rows[0][column], right.rows[1][column], right.rows[2][column])
    }
    return Matrix(columns: columns[0], columns[1], columns[2])
  }
}
