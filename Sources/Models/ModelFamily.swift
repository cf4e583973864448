package import Graph

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

  /// Throws unless every network that is needed is there and every input has a source.
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
      switch network.role {
      case .text, .conditioning:
        for output in graph.outputs where !given.insert(output.name).inserted {
          throw ConfigurationError("\(network.name)", "\"\(output.name)\" is given twice")
        }
      case .denoiser, .decoder, .encoder: break
      }
    }
  }
}
