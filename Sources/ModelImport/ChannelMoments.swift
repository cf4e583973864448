import Graph

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The means and variances of a value's channels, over all places of many pictures.
struct ChannelMoments: Equatable {
  var means: [Double]
  var variances: [Double]

  /// Of inputs that are drawn normally, or of which nothing is known.
  init(normal channels: Int) {
    means = Array(repeating: 0, count: channels)
    variances = Array(repeating: 1, count: channels)
  }

  init(means: [Double], variances: [Double]) { (self.means, self.variances) = (means, variances) }

  var isFinite: Bool {
    means.allSatisfy { abs($0) < 1e30 } && variances.allSatisfy { $0 < 1e30 }
  }

  /// Channels that are normal with these moments, put through a function.
  func mapped(by function: Activation) -> ChannelMoments {
    if function == .none { return self }
    var result = self
    for channel in means.indices {
      let (mean, square) = function.moments(
        mean: means[channel], deviation: variances[channel].squareRoot())
      result.means[channel] = mean
      result.variances[channel] = max(square - mean * mean, 0)
    }
    return result
  }

  /// Normalized in stretches of `width` channels, then times the gains plus the biases.
  func normalized(width: Int, gains: [Float]?, biases: [Float]?) -> ChannelMoments {
    var result = self
    for start in stride(from: 0, to: means.count, by: width) {
      let group = start..<start + width
      let mean = means[group].reduce(0, +) / Double(width)
      let variance =
        group.reduce(0) { $0 + variances[$1] + (means[$1] - mean) * (means[$1] - mean) }
        / Double(width)
      let inverse = 1 / max(variance, 1e-12).squareRoot()
      for channel in group {
        let scale = inverse * Double(gains?[channel] ?? 1)
        result.means[channel] = (means[channel] - mean) * scale + Double(biases?[channel] ?? 0)
        result.variances[channel] = variances[channel] * scale * scale
      }
    }
    return result
  }

  /// The sum of two values that know nothing of each other; the other may be one channel a row.
  static func + (a: ChannelMoments, b: ChannelMoments) -> ChannelMoments {
    ChannelMoments(
      means: zip(a.means, b.means).map { $0 + $1 },
      variances: zip(a.variances, b.variances).map { $0 + $1 })
  }

  /// The product of two values that know nothing of each other.
  static func * (a: ChannelMoments, b: ChannelMoments) -> ChannelMoments {
    var result = a
    for channel in a.means.indices {
      let means = (a.means[channel] * a.means[channel], b.means[channel] * b.means[channel])
      result.means[channel] *= b.means[channel]
      result.variances[channel] =
        (a.variances[channel] + means.0) * (b.variances[channel] + means.1) - means.0 * means.1
    }
    return result
  }

  subscript(channels: Range<Int>) -> ChannelMoments {
    ChannelMoments(means: Array(means[channels]), variances: Array(variances[channels]))
  }

  static func joined(_ parts: [ChannelMoments]) -> ChannelMoments {
    ChannelMoments(means: parts.flatMap(\.means), variances: parts.flatMap(\.variances))
  }
}

extension Activation {
  /// The mean, and that of the square, of the function of a normal number.
  func moments(mean: Double, deviation: Double) -> (mean: Double, square: Double) {
    var (sum, squares) = (0.0, 0.0)
    for (place, density) in NormalPlaces.all {
      let y = value(mean + deviation * place)
      sum += y * density
      squares += y * y * density
    }
    return (sum, squares)
  }
}

/// Places of the normal distribution with their shares, evenly apart.
enum NormalPlaces {
  /// How many deviations the largest of all pixels is away.
  static let reach = 4.5

  static let all: [(place: Double, share: Double)] = {
    let places = (-18...18).map { Double($0) / 18 * reach }
    let densities = places.map { exp(-$0 * $0 / 2) }
    let sum = densities.reduce(0, +)
    return zip(places, densities).map { ($0, $1 / sum) }
  }()
}
