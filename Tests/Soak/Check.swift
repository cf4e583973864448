/// One promise, whether it was kept, and the figure that says so.
struct Check: Sendable {
  enum Verdict: String, Sendable {
    case kept = "ok"
    case broken = "FAILED"
    /// It could not be looked at; the figure says why.
    case leftOut = "left out"
  }

  let name: String
  let verdict: Verdict
  let figure: String

  init(_ name: String, _ isKept: Bool, _ figure: String) {
    self.name = name
    self.verdict = isKept ? .kept : .broken
    self.figure = figure
  }

  init(leftOut name: String, because reason: String) {
    self.name = name
    verdict = .leftOut
    figure = reason
  }
}

/// What a run shows at its end, as Markdown.
enum SoakReport {
  static func table(_ checks: [Check]) -> String {
    let rows = checks.map { "| \($0.name) | \($0.verdict.rawValue) | \($0.figure) |" }
    return (["| check | | figure |", "| --- | --- | --- |"] + rows).joined(separator: "\n")
  }

  /// What ended how, one line an action.
  static func outcomes(_ report: ClientReport) -> String {
    let rows = report.outcomes.sorted { $0.key < $1.key }.map { action, counts in
      let text = counts.sorted { ($0.value, $1.key) > ($1.value, $0.key) }
        .map { "\($0.key) \($0.value)" }.joined(separator: ", ")
      return "| \(action) | \(text) |"
    }
    return (["| what | how it ended |", "| --- | --- |"] + rows).joined(separator: "\n")
  }

  static func milliseconds(_ seconds: Double) -> String {
    "\((seconds * 10_000).rounded() / 10)"
  }

  static func mebibytes(_ bytes: Int) -> String {
    "\((Double(bytes) / 104_857.6).rounded() / 10) MiB"
  }
}

/// A sorted sample of seconds.
struct Percentiles {
  let sorted: [Double]

  init(_ values: [Double]) {
    sorted = values.sorted()
  }

  /// - Parameter share: 0...1.
  subscript(share: Double) -> Double {
    sorted.isEmpty ? 0 : sorted[min(Int(Double(sorted.count) * share), sorted.count - 1)]
  }
}
