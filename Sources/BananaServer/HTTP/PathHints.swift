import BananaAPI

/// What to do about a path that is not served, where a base URL or another program explains it.
enum PathHints {
  /// One sentence; nil when nothing is known of the path.
  static func hint(for path: String) -> String? {
    let names = path.split(separator: "/").map { $0.lowercased() }
    if let served = served(names) {
      return "Did you mean \(served)? The client's base URL must be the host and /v1, once."
    }
    switch names.first {
    case "sdapi": return "That is AUTOMATIC1111's API. \(advice)"
    case "prompt", "history", "object_info", "view": return "That is ComfyUI's API. \(advice)"
    case "api": return "That is Ollama's API. \(advice)"
    default: break
    }
    if names.suffix(2) == ["images", "variations"] {
      return "Send the image with a prompt to \(Route.imageEdits) instead."
    }
    if names.contains(where: ["chat", "completions", "responses", "embeddings", "audio"].contains) {
      return "bananad only draws pictures: \(Route.imageGenerations)."
    }
    return nil
  }

  private static let advice =
    "Choose OpenAI as the client's image engine, with a base URL that ends with /v1."

  /// The path that was meant when the end of `names` is the end of one that is served: the base URL
  /// lacks /v1, has it twice, or has another provider's prefix.
  private static func served(_ names: [String]) -> String? {
    Route.served.map(\.path).first { path in
      let words = path.split(separator: "/").dropFirst().map(String.init)
      return path.hasPrefix("/v1/") && !words.isEmpty && !path.contains("{")
        && names.suffix(words.count) == words[...]
    }
  }
}
