import Graph

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// How the inputs of a product are rounded to bytes.
struct InputRounding: Equatable {
  /// `[in]`: what they are multiplied by before, and the stored weight is divided by; nil is 1.
  var smoothing: [Float]?
  /// The byte that zero becomes.
  var zeroPoint = 0
  /// `[in]`: their expected squares once they are multiplied; nil is 1.
  var squares: [Float]?
  /// The expected square of what rounding changes in each.
  var noise: Double

  /// Of inputs of which nothing is known but the activation that they come from.
  init(behind activation: Activation = .none) {
    let most = NormalPlaces.reach
    zeroPoint = Self.zeroPoint(least: activation.least, most: most)
    noise = Self.noise(zeroPoint, least: activation.least, most: most)
  }

  /// Of inputs whose sizes are known, for weights `[in]` of so many squares on average.
  ///
  /// What is lost to the rounding of inputs grows with the largest of them and with the weights,
  /// what is lost to the rounding of weights with the largest of these and with the inputs: the
  /// product of both is least where inputs and weights have the same sizes channel by channel. Xiao
  /// et al. 2022, "SmoothQuant", eq. 4, with its alpha of 1/2. Nil where numbers are too large to
  /// tell.
  init?(_ sizes: InputSizes, weights: [Double]) {
    let weightFloor = 1e-6 * (weights.max() ?? 0) + .leastNormalMagnitude
    let inputFloor = 1e-6 * (sizes.squares.max() ?? 0) + .leastNormalMagnitude
    let ratios = zip(weights, sizes.squares).map { log(max($0, weightFloor) / max($1, inputFloor)) }
    let mean = ratios.reduce(0, +) / Double(max(ratios.count, 1))
    let factors = ratios.map { exp(($0 - mean) / 4) }
    let most = zip(factors, sizes.largest).reduce(0) { max($0, $1.0 * $1.1) }
    let least = zip(factors, sizes.lowest).reduce(0) { max($0, $1.0 * $1.1) }
    let squares = zip(factors, sizes.squares).map { $0 * $0 * $1 }
    let unit = max(squares.max() ?? 1, .leastNormalMagnitude)
    guard most.isFinite, unit.isFinite, factors.allSatisfy({ Float($0).isNormal }) else {
      return nil
    }
    smoothing = factors.map { Float($0) }
    // Only what they are to each other counts.
    self.squares = squares.map { Float($0 / unit) }
    if sizes.activation.least != nil { zeroPoint = Self.zeroPoint(least: least, most: most) }
    noise = Self.noise(zeroPoint, least: least, most: most) / unit
  }

  /// So that what is below zero has as many bytes as it needs if what is above reaches half as far
  /// as expected; where it reaches further, it has most of them.
  private static func zeroPoint(least: Double?, most: Double) -> Int {
    guard let least, 2 * least < most else { return 0 }
    return max(-126, -Int(127 * (most - 2 * least) / (most + 2 * least)))
  }

  /// A uniform error's mean square, a twelfth of the squared step.
  private static func noise(_ zeroPoint: Int, least: Double?, most: Double) -> Double {
    let below = (least ?? most) / Double(127 + zeroPoint)
    let step = max(most / Double(127 - zeroPoint), below)
    return step * step / 12
  }
}

/// What is known of a product's inputs `[in]` before anything is drawn.
struct InputSizes {
  /// Expected squares.
  let squares: [Double]
  /// Expected largest magnitudes, and those of what is below zero.
  let largest: [Double]
  let lowest: [Double]
  let activation: Activation

  /// - Parameter moments: Before the activation.
  init(_ moments: ChannelMoments, behind activation: Activation) {
    self.activation = activation
    var (squares, largest, lowest): ([Double], [Double], [Double]) = ([], [], [])
    for (mean, variance) in zip(moments.means, moments.variances) {
      let deviation = variance.squareRoot()
      let values = NormalPlaces.all.map { activation.value(mean + deviation * $0.place) }
      squares.append(activation.moments(mean: mean, deviation: deviation).square)
      largest.append(values.reduce(0) { max($0, abs($1)) })
      lowest.append(values.reduce(0) { max($0, -$1) })
    }
    (self.squares, self.largest, self.lowest) = (squares, largest, lowest)
  }
}

extension Activation {
  /// How far it reaches below zero; nil where as far as above.
  var least: Double? {
    switch self {
    case .none, .tanh: nil
    case .silu: 0.2785
    case .gelu: 0.17
    case .quickGELU: 0.1637
    case .relu: 0
    }
  }

  func value(_ x: Double) -> Double {
    switch self {
    case .none: x
    case .silu: x / (1 + exp(-x))
    case .gelu: x * erfc(-x / 2.0.squareRoot()) / 2
    case .quickGELU: x / (1 + exp(-1.702 * x))
    case .relu: max(x, 0)
    case .tanh: 1 - 2 / (exp(2 * x) + 1)
    }
  }
}
