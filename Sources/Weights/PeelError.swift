package import TensorTypes

/// Why a peel cannot be used: with all models, or with the one it is wanted for.
package enum PeelError: Error, Equatable, CustomStringConvertible {
  case file(FileError)
  case tooLarge(maximumBytes: Int)
  case safetensors(SafetensorsError)
  /// A file of PyTorch's.
  case pickle
  /// A textual inversion has so many vectors, and up to `maximum` are read.
  case wrongVectors(Int, maximum: Int)
  /// The model's text encoder knows no words of its user.
  case noEmbeddings(model: String)
  /// Widths are of the vectors, by text encoder.
  case unfitEmbedding(widths: [Int], model: String, expected: [Int])
  /// No low-rank update is in the file.
  case empty
  /// Tensors that are no part of a change in a known key style: the first of them, and how many
  /// there are of all.
  case unknownTensors(first: [String], count: Int, of: Int)
  /// Two tensors are the same part of one update.
  case duplicate(target: String, part: String)
  case missingPart(target: String, part: String)
  case wrongType(tensor: String, type: SafetensorsType)
  case wrongShape(tensor: String, shape: Shape)
  /// `down` and `up` do not meet.
  case unequalRanks(target: String, down: Int, up: Int)
  case wrongRank(target: String, rank: Int, maximum: Int)
  /// A change in another algebra has a larger rank than is applied beside the base's weights.
  case wideForm(String, target: String, rank: Int, maximum: Int)
  /// The scale that the update is multiplied by is not a positive number.
  case invalidAlpha(where: String)
  /// Two places of the metadata disagree.
  case ambiguousAlpha(String, String)
  /// PEFT's configuration in the metadata cannot be read.
  case invalidConfiguration(where: String)
  /// A key of `alpha_pattern` that is not understood.
  case unsupportedPattern(String)
  /// A form of change that would have to be applied otherwise, as people call it.
  case unsupportedForm(String, tensor: String?)
  /// The update is one of a convolution whose kernel is more than a point.
  case unsupportedKernel(tensor: String, shape: Shape)
  case notFinite(tensor: String)
  /// Numbers times their scale are more than f32 holds.
  case tooLargeNumbers(tensor: String)

  /// The model does not open this network to peels.
  case closedNetwork(PeelNetwork, target: String, model: String)
  /// The model has no such layers that a peel can change: the first of them, and how many there are
  /// of all.
  case unknownTargets(first: [String], count: Int, of: Int, model: String)
  /// The peel's names and shapes are those of another kind of model.
  case otherArchitecture(made: String, model: String, is: String?)
  /// Two updates name the same layer in different styles.
  case repeatedTarget(target: String)
  /// Shapes are of the whole update, `[out, in]`.
  case unfitUpdate(target: String, expected: Shape, actual: Shape)
  case wrongBase(model: String, expectedSHA256: String, actualSHA256: String)

  package var description: String {
    switch self {
    case .file(let error): return error.description
    case .safetensors(let error): return error.description
    case .tooLarge(let maximum):
      return "The peel has more than the \(maximum >> 20) MiB that are allowed. Train it with a "
        + "smaller rank, or store it in F16."
    case .pickle:
      return "The file is PyTorch's (.pt, .bin or .ckpt), which can run programs when it is read, "
        + "and is not read here. Convert it to .safetensors where you trust it; docs/api.md has "
        + "the line of Python."
    case .wrongVectors(let count, let maximum):
      return
        "The embedding has \(count) vectors; 1 to \(maximum) are read, as a text encoder reads "
        + "no more tokens at once. Get one with fewer."
    case .noEmbeddings(let model):
      return "The file is an embedding (textual inversion), and the text encoder of \(model) reads "
        + "none: use it with a model of Stable Diffusion's kind."
    case .unfitEmbedding(let widths, let model, let expected):
      return "The embedding's vectors have \(Self.widths(widths)) numbers, and those of \(model) "
        + "\(Self.widths(expected)): get the one that was made for it."
    case .empty:
      return "The file has no low-rank updates: it is not a peel. Give a LoRA in PEFT, diffusers "
        + "or kohya form."
    case .wrongBase(let model, let expected, let actual):
      return "The peel was made for another base model (\(expected.prefix(12))…) than \(model) "
        + "(\(actual.prefix(12))…). Get the peel that was made for this version of \(model)."
    case .unknownTargets(let first, let count, let all, let model):
      return Self.otherBase(
        "changes \(Self.list(first)), which \(model) does not have"
          + Self.number(count, of: all, "layers"))
    case .otherArchitecture(let made, let model, let kind):
      return "The peel was made for \(made), and \(model) is "
        + (kind.map { "\($0): get the peel that was made for \($0)." }
          ?? "another kind of model: get one that was made for it.")
    case .unfitUpdate(let target, let expected, let actual):
      return Self.otherBase(
        "has an update \(actual) for \"\(target.excerpt)\", which is \(expected)")
    case .closedNetwork(let network, let target, let model):
      return "The peel changes the \(network) (\"\(target.excerpt)\"), and the text-encoder part "
        + "is not applied here: \(model) opens only its denoiser to peels. Export the LoRA "
        + "without it."
    case .unsupportedForm(let form, let tensor):
      let place = tensor.map { " (\"\($0.excerpt)\")" } ?? ""
      return "\(form) is not supported by this model: export a plain LoRA\(place)."
    case .unsupportedKernel(let tensor, let shape):
      return "A LoRA of convolutions of one or three dimensions is not supported by this model: "
        + "export one without them (\"\(tensor.excerpt)\" is \(shape))."
    case .unsupportedPattern(let pattern):
      return "The peel gives alphas by the pattern \"\(pattern.excerpt)\", which is not supported: "
        + "write the names of the layers into alpha_pattern."
    case .unknownTensors(let first, let count, let all):
      return "The peel has the tensor \(Self.list(first)), which is no part of a LoRA in a form "
        + "that is known here\(Self.number(count, of: all, "tensors")): export a plain LoRA in "
        + "PEFT, diffusers or kohya form."
    case .wideForm(let form, let target, let rank, let maximum):
      return "The peel has \(form) for \"\(target.excerpt)\", which is of rank \(rank) as a plain "
        + "LoRA; up to \(maximum) is applied beside weights that stay as they are. Resize it, or "
        + "export it as a plain LoRA."
    case .wrongType(let tensor, let type):
      return "The peel stores \"\(tensor.excerpt)\" as \(type.rawValue), a type that is not "
        + "supported. Export it in F32, F16 or BF16."
    case .wrongRank(let target, let rank, let maximum):
      return "The peel has rank \(rank) for \"\(target.excerpt)\"; 1...\(maximum) is allowed. "
        + "Resize it to a smaller rank."
    case .tooLargeNumbers(let tensor):
      return "The peel's numbers in \"\(tensor.excerpt)\" times their scale are too large. Export "
        + "it with a smaller alpha."
    default: return "The peel \(problem). Export it again, or get an undamaged copy."
    }
  }

  private static func list(_ names: [String]) -> String {
    names.map { "\"\($0.excerpt)\"" }.joined(separator: ", ")
  }

  private static func widths(_ widths: [Int]) -> String {
    widths.map(String.init).joined(separator: " and ")
  }

  private static func number(_ count: Int, of all: Int, _ what: String) -> String {
    count > 1 ? " (\(count) of its \(all) \(what))" : ""
  }

  private static func otherBase(_ problem: String) -> String {
    "The peel \(problem). It was made for another model: get one that was made for this model."
  }

  private var problem: String {
    switch self {
    case .duplicate(let target, let part): "has \(part) of \"\(target.excerpt)\" twice"
    case .missingPart(let target, let part): "lacks \(part) of \"\(target.excerpt)\""
    case .wrongShape(let tensor, let shape): "has \"\(tensor.excerpt)\" of the shape \(shape)"
    case .unequalRanks(let target, let down, let up):
      "has ranks \(down) and \(up) for the two parts of \"\(target.excerpt)\""
    case .invalidAlpha(let place): "gives no positive number as alpha in \(place)"
    case .ambiguousAlpha(let first, let second):
      "gives different alphas in \(first.excerpt) and \(second.excerpt) of its metadata"
    case .invalidConfiguration(let place): "has no valid configuration of PEFT in \(place)"
    case .notFinite(let tensor): "has NaN or infinity in \"\(tensor.excerpt)\""
    case .repeatedTarget(let target): "names the layer \"\(target.excerpt)\" twice"
    default: "is damaged"
    }
  }
}
