import Synchronization

/// A figure that `/metrics` shows; the one place that names and explains it is its declaration.
package struct Metric: Sendable, Hashable {
  package enum Kind: Sendable, Hashable {
    case counter, gauge
    /// With the upper bounds of its buckets, rising.
    case histogram(buckets: [Double])
  }

  /// In Prometheus' manner: base units, `_total` for counters.
  package let name: String
  package let kind: Kind
  /// One line for a person.
  package let help: String

  package init(_ name: String, _ kind: Kind, _ help: String) {
    self.name = name
    self.kind = kind
    self.help = help
  }
}

/// The daemon's figures, written from anywhere and shown in Prometheus' text format (version
/// 0.0.4).
package final class MetricsRegistry: Sendable {
  package typealias Labels = [String: String]

  private enum Sample {
    case number(Double)
    /// Observations by bucket, the last for those above all bounds.
    case histogram(counts: [Int], sum: Double)
  }

  private let samples = Mutex<[Metric: [Labels: Sample]]>([:])

  package init() {}

  /// Sets a gauge.
  package func set(_ metric: Metric, _ labels: Labels = [:], to value: Double) {
    precondition(metric.kind == .gauge)
    samples.withLock { $0[metric, default: [:]][labels] = .number(value) }
  }

  /// Adds to a counter.
  package func count(_ metric: Metric, _ labels: Labels = [:], by amount: Double = 1) {
    precondition(metric.kind == .counter && amount >= 0)
    samples.withLock { samples in
      var total = amount
      if case .number(let value) = samples[metric]?[labels] { total += value }
      samples[metric, default: [:]][labels] = .number(total)
    }
  }

  /// Adds an observation to a histogram.
  package func observe(_ metric: Metric, _ labels: Labels = [:], value: Double) {
    guard case .histogram(let buckets) = metric.kind else { preconditionFailure(metric.name) }
    samples.withLock { samples in
      var counts = [Int](repeating: 0, count: buckets.count + 1)
      var sum = 0.0
      if case .histogram(let before, let beforeSum) = samples[metric]?[labels] {
        (counts, sum) = (before, beforeSum)
      }
      counts[buckets.firstIndex { value <= $0 } ?? buckets.count] += 1
      samples[metric, default: [:]][labels] = .histogram(counts: counts, sum: sum + value)
    }
  }

  /// Some figures, as `/metrics` answers them.
  package func exposition(where isShown: (Metric) -> Bool) -> String {
    let shown = samples.withLock { $0 }.filter { isShown($0.key) }
    var text = ""
    for (metric, samples) in shown.sorted(by: { $0.key.name < $1.key.name }) {
      text += "# HELP \(metric.name) \(Self.escaped(metric.help, quotes: false))\n"
      text += "# TYPE \(metric.name) \(metric.kind.word)\n"
      let lines = samples.map { Self.lines(of: metric, $0.key, $0.value) }
      text += lines.sorted().joined()
    }
    return text
  }

  private static func lines(of metric: Metric, _ labels: Labels, _ sample: Sample) -> String {
    switch sample {
    case .number(let value):
      return "\(metric.name)\(self.text(of: labels)) \(number(value))\n"
    case .histogram(let counts, let sum):
      guard case .histogram(let buckets) = metric.kind else { return "" }
      var text = ""
      var total = 0
      for (bound, count) in zip(buckets + [.infinity], counts) {
        total += count
        let bounded = labels.merging(["le": number(bound)]) { $1 }
        text += "\(metric.name)_bucket\(self.text(of: bounded)) \(total)\n"
      }
      text += "\(metric.name)_sum\(self.text(of: labels)) \(number(sum))\n"
      return text + "\(metric.name)_count\(self.text(of: labels)) \(total)\n"
    }
  }

  private static func text(of labels: Labels) -> String {
    if labels.isEmpty { return "" }
    let pairs = labels.sorted { $0.key < $1.key }
      .map { "\($0.key)=\"\(escaped($0.value, quotes: true))\"" }
    return "{" + pairs.joined(separator: ",") + "}"
  }

  private static func number(_ value: Double) -> String {
    if value == .infinity { return "+Inf" }
    if value == -.infinity { return "-Inf" }
    if value.isNaN { return "NaN" }
    return value == value.rounded() && abs(value) < 1e15 ? "\(Int(value))" : "\(value)"
  }

  private static func escaped(_ text: String, quotes: Bool) -> String {
    var escaped = ""
    for character in text {
      switch character {
      case "\\": escaped += "\\\\"
      case "\n": escaped += "\\n"
      case "\"" where quotes: escaped += "\\\""
      default: escaped.append(character)
      }
    }
    return escaped
  }
}

extension Metric.Kind {
  fileprivate var word: String {
    switch self {
    case .counter: "counter"
    case .gauge: "gauge"
    case .histogram: "histogram"
    }
  }
}
