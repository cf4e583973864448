/// The last seconds of one sensor, for its trend.
struct TemperatureHistory: Sendable {
  private let span: Double
  private var points: [(seconds: Double, celsius: Double)] = []
  /// The last readings as they came, at most three.
  private var raw: [Double] = []

  /// - Parameter seconds: How long readings are kept.
  init(seconds: Double) {
    span = seconds
  }

  /// Takes a reading and returns the median of the last three, which one wild value cannot move.
  mutating func add(_ celsius: Double, at seconds: Double) -> Double {
    raw.append(celsius)
    if raw.count > 3 { raw.removeFirst() }
    let median = raw.count < 3 ? celsius : raw.sorted()[1]
    while let first = points.first, first.seconds <= seconds - span { points.removeFirst() }
    while let last = points.last, last.seconds >= seconds { points.removeLast() }
    points.append((seconds, median))
    return median
  }

  /// The straight line of least squares through the points: its value at `seconds`, °C, and its
  /// slope in °C a second, 0 before five seconds are known.
  func line(at seconds: Double) -> (celsius: Double, slope: Double) {
    guard let first = points.first, let last = points.last else { return (0, 0) }
    guard last.seconds - first.seconds >= 5 else { return (last.celsius, 0) }
    let count = Double(points.count)
    let meanSeconds = points.reduce(0) { $0 + $1.seconds } / count
    let meanCelsius = points.reduce(0) { $0 + $1.celsius } / count
    var spread = 0.0
    var product = 0.0
    for point in points {
      let offset = point.seconds - meanSeconds
      spread += offset * offset
      product += offset * (point.celsius - meanCelsius)
    }
    let slope = product / spread
    return (meanCelsius + slope * (seconds - meanSeconds), slope)
  }
}
