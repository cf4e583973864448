import BananaAPI
import FoundationEssentials

/// What `banana generate` prints at the end.
struct GenerationReport: Encodable {
  struct File: Encodable {
    var path: String
    var seed: UInt64
    var bytes: Int
  }

  var files: [File]
  var model: String
  var size: String
  var background: String
  var timings: Timings
  var warnings: [String]
  var peels: [AppliedPeel]?
  var recipe: AppliedRecipe?

  init(_ answer: ImageGenerationResponse, paths: [String]) {
    files = zip(answer.data, paths).map { image, path in
      File(path: path, seed: image.seed, bytes: image.png.count)
    }
    model = answer.model
    size = answer.size
    background = answer.background
    timings = answer.timings
    warnings = answer.warnings
    peels = answer.peels
    recipe = answer.recipe
  }

  /// One line a file and one for the time.
  var text: String {
    let lines = files.map { "\($0.path)  \(size), seed \($0.seed), \($0.bytes / 1024) KiB" }
    return (lines + [recipe?.text, timing].compactMap { $0 }).joined(separator: "\n")
  }

  var json: String {
    get throws { try JSONText.encode(self) }
  }

  private var timing: String {
    let stages: [(String, Double)] = [
      ("queue", timings.queueSeconds), ("text", timings.textSeconds),
      ("denoise", timings.denoiseSeconds), ("decode", timings.decodeSeconds),
      ("png", timings.encodeSeconds),
    ]
    return stages.map { "\($0.0) \(milliseconds($0.1))" }.joined(separator: ", ")
      + "; \(milliseconds(timings.totalSeconds)) in all"
  }

  private func milliseconds(_ seconds: Double) -> String {
    "\(Int((seconds * 1000).rounded())) ms"
  }
}

extension AppliedRecipe {
  /// One line: `lcm, spacing lcm, 4 steps, guidance 1; recipe of the peel fast (lcm)`.
  fileprivate var text: String {
    var parts = [sampler]
    if let spacing { parts.append("spacing \(spacing)") }
    parts.append(steps == 1 ? "1 step" : "\(steps) steps")
    parts.append("guidance \(guidance == guidance.rounded() ? "\(Int(guidance))" : "\(guidance)")")
    let owner = peel.map { "the peel \($0) (\(kind ?? ""))" } ?? "the model"
    return parts.joined(separator: ", ") + "; recipe of \(owner)"
      + (requested.isEmpty ? "" : " but for \(requested.joined(separator: ", "))")
  }
}

/// JSON for people and scripts.
enum JSONText {
  static func encode(_ value: some Encodable) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(value), as: UTF8.self)
  }
}
