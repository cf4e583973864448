import ArgumentParser
import BananaAPI
import BananaSDK
import FoundationEssentials

/// `banana peel …`.
struct PeelCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "peel", abstract: "Installs, shows and removes peels (LoRA adapters, embeddings).",
    discussion: "Draw with one by: banana generate PROMPT --peel NAME[:STRENGTH]",
    subcommands: [
      PeelInstallCommand.self, PeelListCommand.self, PeelShowCommand.self, PeelRemoveCommand.self,
    ])
}

/// Which socket the peels are changed through.
struct PeelOptions: ParsableArguments {
  @Flag(help: "For all users, through the admin socket; an administrator may.")
  var all = false

  @OptionGroup var connection: ConnectionOptions

  var client: BananaClient {
    BananaClient(socketPath: connection.socket ?? (all ? SocketPath.systemAdmin : nil))
  }
}

/// `banana peel install FILE`.
struct PeelInstallCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "install",
    abstract: "Installs a peel from a .safetensors file, in the place of one of the same name.")

  @Argument(
    help: """
      A LoRA in PEFT, diffusers or kohya form, or PEFT's folder; or an embedding (textual \
      inversion), which prompts name.
      """)
  var file: String

  @Option(help: "What to call it; default: the file's name.")
  var name: String?

  @Option(
    help: """
      How it is drawn with: lcm, tcd, dmd2, hyper-sd-8, lightning-4, turbo, none for the model's \
      own recipe; default: what its names tell.
      """)
  var recipe: String?

  @Flag(help: "Print the result as JSON.")
  var json = false

  @OptionGroup var options: PeelOptions

  func run() async throws {
    try await reportingFailures {
      let peel = try await options.client.installPeel(
        from: file, named: name ?? Self.name(for: file), recipe: recipe)
      print(json ? try JSONText.encode(peel) : PeelText.details(peel))
    }
  }

  /// `My Peel v2.safetensors` becomes `my-peel-v2`.
  static func name(for file: String) -> String {
    var stem = file.split(separator: "/").last.map(String.init) ?? file
    if stem.lowercased().hasSuffix(".safetensors") { stem.removeLast(".safetensors".count) }
    let allowed = Set("abcdefghijklmnopqrstuvwxyz0123456789._-")
    let name = String(stem.lowercased().map { allowed.contains($0) ? $0 : "-" })
    return String(name.drop { "._-".contains($0) }.prefix(PeelLimits.nameCharacters))
  }
}

/// `banana peel list`.
struct PeelListCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "Lists the peels that you can draw with.")

  @Flag(help: "Print the list as JSON.")
  var json = false

  @OptionGroup var options: PeelOptions

  func run() async throws {
    try await reportingFailures {
      let peels = try await options.client.peels()
      if json {
        print(try JSONText.encode(peels))
      } else if peels.isEmpty {
        print("There is no peel. Install one with: banana peel install FILE")
      } else {
        print(PeelText.table(peels))
      }
    }
  }
}

/// `banana peel show NAME`.
struct PeelShowCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "show", abstract: "Shows all that is known of a peel.")

  @Argument(help: "Its name.")
  var name: String

  @Flag(help: "Print it as JSON.")
  var json = false

  @OptionGroup var options: PeelOptions

  func run() async throws {
    try await reportingFailures {
      let peel = try await options.client.peel(name)
      print(json ? try JSONText.encode(peel) : PeelText.details(peel))
    }
  }
}

/// `banana peel remove NAME`.
struct PeelRemoveCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "remove", abstract: "Removes a peel; jobs that draw with it end undisturbed.")

  @Argument(help: "Its name.")
  var name: String

  @Option(
    help: "Seconds to wait for those jobs, 0 to 300.",
    transform: { try OptionNumber.integer($0, in: 0...300) })
  var wait = 30

  @OptionGroup var options: PeelOptions

  func run() async throws {
    try await reportingFailures {
      let removal = try await options.client.removePeel(name, timeoutSeconds: wait)
      print(
        removal.inUse ? "\(name) is removed; a job still draws with it." : "\(name) is removed.")
    }
  }
}

/// Peels in words.
enum PeelText {
  /// One line a peel.
  static func table(_ peels: [PeelInfo]) -> String {
    let width = peels.map(\.name.count).max() ?? 0
    return peels.map { peel in
      let padding = String(repeating: " ", count: width - peel.name.count)
      let words = peel.triggerWords.isEmpty ? "" : "  \"\(peel.triggerWords[0].printable)\""
      let recipe = peel.recipe.map { "  \($0.name)" } ?? ""
      let title = peel.title.map { "  \($0.printable)" } ?? ""
      let size = peel.vectors.map(count) ?? "rank \(peel.rank)"
      return "\(peel.name)\(padding)  \(peel.scope.rawValue)  \(size)  "
        + "\(kibibytes(peel.bytes))\(recipe)\(title)\(words)"
    }.joined(separator: "\n")
  }

  /// One line a fact.
  static func details(_ peel: PeelInfo) -> String {
    var rows = [
      ("peel", "\(peel.name), \(peel.scope.rawValue)"),
      ("file", "\(kibibytes(peel.bytes)), sha256 \(peel.sha256)"),
      peel.vectors.map { ("embeds", count($0)) }
        ?? ("changes", "\(peel.targets) weights, rank \(peel.rank)"),
    ]
    if let recipe = peel.recipe { rows.append(("recipe", text(of: recipe))) }
    if let title = peel.title { rows.append(("title", title)) }
    if !peel.triggerWords.isEmpty {
      rows.append(("words", peel.triggerWords.joined(separator: ", ")))
    }
    if let license = peel.license { rows.append(("licence", license)) }
    if let base = peel.baseModel { rows.append(("made for", base)) }
    for warning in peel.warnings ?? [] { rows.append(("warning", warning)) }
    for (key, value) in (peel.metadata ?? [:]).sorted(by: { $0.key < $1.key }) {
      let isLong = value.count > 100
      rows.append(("", "\(key): \(value.prefix(100))\(isLong ? "…" : "")"))
    }
    return rows.map { label, text in
      label + String(repeating: " ", count: 10 - label.count) + text.printable
    }.joined(separator: "\n")
  }

  private static func text(of recipe: PeelRecipe) -> String {
    "\(recipe.name): \(recipe.sampler), spacing \(recipe.spacing), "
      + (recipe.steps == 1 ? "1 step" : "\(recipe.steps) steps")
      + ", guidance \(recipe.guidance)"
  }

  private static func count(_ vectors: Int) -> String {
    vectors == 1 ? "1 vector" : "\(vectors) vectors"
  }

  private static func kibibytes(_ bytes: Int) -> String { "\((bytes + 1023) / 1024) KiB" }
}
