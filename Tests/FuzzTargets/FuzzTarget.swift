/// A parser that bytes from a socket or a file reach, with what must hold for every input.
package enum FuzzTarget: String, CaseIterable, Sendable {
  /// A `.safetensors` file: header, tensors, weights.
  case safetensors
  /// The body of `POST /v1/peels`.
  case peel
  /// A package's `model.json`.
  case manifest
  /// A checkpoint to import: what its names and shapes are instead of a sound one's, a line each;
  /// a line `-NAME` takes a tensor away.
  case checkpoint
  /// A picture to edit.
  case png
  /// The form of `POST /v1/images/edits`: a byte that says how it comes in pieces, a line with its
  /// Content-Type, the body.
  case form
  /// The body of `POST /v1/images/generations`.
  case generation
  /// The target of a request line: path and query.
  case path
  /// A prompt: a byte that says how many tokens fit, and in which case, then the text.
  case prompt
  /// A tokenizer's `merges.txt`.
  case merges
  /// The config file.
  case settings
  /// systemd's variables, a `NAME=value` a line.
  case environment
  /// A stream of events as the client reads it; its first byte says how it comes in pieces.
  case events
  /// An answer as the client reads it.
  case answer
  /// Requests that the daemon takes, drawn alone and together by a small model that is not
  /// distilled: what their numbers are, byte by byte.
  case drawing

  /// Runs the parser on `input`.
  /// - Throws: What does not hold. A trap, a hang or memory without bound are findings too.
  package func run(_ input: [UInt8]) throws(Violation) {
    switch self {
    case .safetensors: try Self.safetensors(input)
    case .peel: try Self.peel(input)
    case .manifest: try Self.manifest(input)
    case .checkpoint: try Self.checkpoint(input)
    case .png: try Self.png(input)
    case .form: try Self.form(input)
    case .generation: try Self.generation(input)
    case .path: try Self.path(input)
    case .prompt: try Self.prompt(input)
    case .merges: try Self.merges(input)
    case .settings: try Self.settings(input)
    case .environment: try Self.environment(input)
    case .events: try Self.events(input)
    case .answer: try Self.answer(input)
    case .drawing: try Self.drawing(input)
    }
  }
}

/// Something that must hold for every input and does not.
package struct Violation: Error, CustomStringConvertible {
  package let description: String
}

func expect(_ condition: Bool, _ reason: @autoclosure () -> String) throws(Violation) {
  if !condition { throw Violation(description: reason()) }
}

/// An error says something, and not at a length that only its input sets.
func expectText(_ error: some CustomStringConvertible, maximumBytes: Int = 4096) throws(Violation) {
  let text = error.description
  try expect(!text.isEmpty, "an error without a text")
  try expect(
    text.utf8.count <= maximumBytes,
    "an error of \(text.utf8.count) bytes: \(text.prefix(80))…")
}

extension [UInt8] {
  /// The bytes in pieces of irregular lengths that `seed` sets.
  func pieces(_ seed: UInt8) -> [ArraySlice<UInt8>] {
    var pieces: [ArraySlice<UInt8>] = []
    var rest = self[...]
    var state = UInt32(seed)
    while !rest.isEmpty {
      // Numerical Recipes' generator; its high bits are good enough.
      state = state &* 1_664_525 &+ 1_013_904_223
      let length = Int(state >> 24) % (seed < 128 ? 8 : 256) + 1
      pieces.append(rest.prefix(length))
      rest = rest.dropFirst(length)
    }
    return pieces
  }
}
