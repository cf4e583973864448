package import Graph
import TensorTypes

/// A family of models: its networks, traced for the extents that are asked for, and what those who
/// draw with them have to know. Nothing outside of `Models` knows more.
package protocol ModelFamily: Sendable {
  /// In an order in which they can run: each reads only what those before it give.
  var networks: [NetworkDescription] { get }
  var facts: ModelFacts { get }

  /// The network as a graph. Only the extents that it depends on are looked at.
  /// - Precondition: `name` is one of `networks`.
  func graph(of name: NetworkName, _ extents: Extents) -> Graph
}

/// A model family whose configuration is one decodable value.
package protocol ConfigurableFamily: ModelFamily {
  associatedtype Configuration: Decodable & Sendable
  init(_ configuration: Configuration) throws(ConfigurationError)
}

/// The families that a program can run.
package struct ModelCatalog: Sendable {
  package let families: [String: any ConfigurableFamily.Type]

  package init(_ families: [String: any ConfigurableFamily.Type]) {
    self.families = families
  }

  /// Every family that Banana has: to add one, add a folder and a line.
  package static let all = ModelCatalog([
    "stable-diffusion": StableDiffusion.self, "sticker-dit": Sticker.self,
  ])
}

extension ModelFamily {
  package func networks(_ role: NetworkRole) -> [NetworkDescription] {
    networks.filter { $0.role == role }
  }

  /// The only network of a role that a family has once.
  package func network(_ role: NetworkRole) -> NetworkDescription {
    let found = networks(role)
    precondition(found.count == 1, "\(found.count) networks for \(role)")
    return found[0]
  }

  /// The networks that make of tokens what the denoiser reads, in order.
  package var promptNetworks: [NetworkDescription] {
    networks.filter {
      switch $0.role {
      case .text, .conditioning: true
      case .denoiser, .decoder, .encoder: false
      }
    }
  }

  /// Throws unless every network that is needed is there, every input has a source, and all have as
  /// many numbers as are written to them and read from them.
  package func checkNetworks() throws(ConfigurationError) {
    for role in [NetworkRole.denoiser, .decoder] where networks(role).count != 1 {
      throw ConfigurationError("family", "it has \(networks(role).count) networks as \(role)")
    }
    try ConfigurationError.check(
      networks(.encoder).count <= 1, "family", "it has several networks as encoder")
    try ConfigurationError.check(
      !facts.readsSource || networks(.encoder).count == 1, "family",
      "nothing encodes the source that its denoiser reads")
    var given: Set<String> = []
    for network in networks {
      let graph = graph(of: network.name, facts.smallestExtents)
      let sources: Set<String>
      switch network.role {
      case .text(let tokenizer):
        try ConfigurationError.check(
          facts.tokenizers.contains { $0.name == tokenizer }, "\(network.name)",
          "there is no tokenizer \"\(tokenizer)\"")
        sources = ["ids", "mask", "bias"]
      case .conditioning: sources = given
      case .denoiser:
        sources = given.union(["latents", "time"])
          .union(facts.sampling.guidanceForm == .embedded ? ["guidance"] : [])
          .union(facts.readsSource ? ["source"] : [])
      case .decoder: sources = ["latents"]
      case .encoder: sources = ["pixels"]
      }
      for input in graph.inputs where !sources.contains(input.name) {
        throw ConfigurationError("\(network.name)", "nothing gives its input \"\(input.name)\"")
      }
      try checkSizes(of: graph, network)
      switch network.role {
      case .text, .conditioning:
        for output in graph.outputs where !given.insert(output.name).inserted {
          throw ConfigurationError("\(network.name)", "\"\(output.name)\" is given twice")
        }
      case .denoiser, .decoder, .encoder: break
      }
    }
  }

  private func checkSizes(
    of graph: Graph, _ network: NetworkDescription
  ) throws(ConfigurationError) {
    let (extents, space) = (facts.smallestExtents, facts.latents)
    let places = extents.height * extents.width
    let latents = places * space.channels
    let pixels = places * space.scale * space.scale * facts.pixels.channels
    func check(
      _ kind: String, _ values: [(name: String, value: Value)], _ counts: [String: Int],
      all: Bool = false
    ) throws(ConfigurationError) {
      for (name, value) in values {
        guard let count = counts[name] else { continue }
        try ConfigurationError.check(
          value.shape.count == count, "\(network.name)",
          "its \(kind) \"\(name)\" is \(value.shape), and the picture's has \(count) numbers")
      }
      for name in counts.keys.sorted() where all && !values.contains(where: { $0.name == name }) {
        throw ConfigurationError("\(network.name)", "it has no \(kind) \"\(name)\"")
      }
    }
    let inputs = graph.inputs.map { ($0.name, $0.value) }
    let outputs = graph.outputs.map { ($0.name, $0.value) }
    switch network.role {
    case .text, .conditioning: break
    case .denoiser:
      try check(
        "input", inputs,
        ["latents": latents, "time": 1, "guidance": 1, "source": places + latents])
      try check("output", outputs, ["prediction": latents], all: true)
    case .decoder:
      try check("input", inputs, ["latents": latents], all: true)
      try check("output", outputs, ["pixels": pixels], all: true)
    case .encoder:
      try check("input", inputs, ["pixels": pixels], all: true)
      try check("output", outputs, ["latents": latents], all: true)
    }
  }
}
