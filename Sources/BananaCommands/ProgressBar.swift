import BananaAPI

/// The one line on a terminal's standard error that says where a job stands.
struct ProgressBar {
  /// Cells of the bar.
  static let width = 24

  /// The line for `progress`, without control characters.
  static func line(_ progress: GenerationProgress) -> String {
    if progress.stage == .queued {
      return progress.step == 1 ? "waiting for 1 job" : "waiting for \(progress.step) jobs"
    }
    let share = Double(progress.step) / Double(max(progress.of, 1))
    let filled = min(max(Int(share * Double(width)), 0), width)
    let bar = bar(filled)
    let picture =
      progress.pictures > 1 ? "picture \(progress.picture + 1)/\(progress.pictures)  " : ""
    let name = progress.stage.rawValue
    let padding = String(repeating: " ", count: max(8 - name.count, 0))
    let left = progress.secondsLeft.map { "  \(seconds($0)) left" } ?? ""
    return "\(picture)\(name)\(padding)[\(bar)] \(progress.step)/\(progress.of)\(left)"
  }

  /// The line for a share of 0 to 1.
  static func line(_ share: Double) -> String {
    let filled = min(max(Int(share * Double(width)), 0), width)
    return "importing [\(bar(filled))] \(Int(share * 100)) %"
  }

  private static func bar(_ filled: Int) -> String {
    String(repeating: "#", count: filled) + String(repeating: ".", count: width - filled)
  }

  /// `1.3 s`, `12 s` or `2 min 5 s`.
  static func seconds(_ value: Double) -> String {
    let value = max(value, 0)
    if value < 10 {
      let tenths = Int((value * 10).rounded())
      return "\(tenths / 10).\(tenths % 10) s"
    }
    let whole = Int(value.rounded())
    return whole < 60 ? "\(whole) s" : "\(whole / 60) min \(whole % 60) s"
  }
}
