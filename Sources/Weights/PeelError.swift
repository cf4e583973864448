package import TensorTypes

/// Why a peel cannot be used: with all models, or with the one it is wanted for.
package enum PeelError: Error, Equatable, CustomStringConvertible {
  case file(FileError)
  case tooLarge(maximumBytes: Int)
  case safetensors(SafetensorsError)
  /// No low-rank update is in the file.
  case empty
  /// A tensor that is no part of a low-rank update in a known key style.
  case unknownTensor(name: String)
  /// Two tensors are the same part of one update.
  case duplicate(target: String, part: String)
  case missingPart(target: String, part: String)
  case wrongType(tensor: String, type: SafetensorsType)
  case wrongShape(tensor: String, shape: Shape)
  /// `down` and `up` do not meet.
  case unequalRanks(target: String, down: Int, up: Int)
  case wrongRank(target: String, rank: Int, maximum: Int)
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
  /// The model has no such layer that a peel can change.
  case unknownTarget(target: String, model: String)
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
    case .empty:
      return "The file has no low-rank updates: it is not a peel. Give a LoRA in PEFT, diffusers "
        + "or kohya form."
    case .wrongBase(let model, let expected, let actual):
      return "The peel was made for another base model (\(expected.prefix(12))…) than \(model) "
        + "(\(actual.prefix(12))…). Get the peel that was made for this version of \(model)."
    case .unknownTarget(let target, let model):
      return Self.otherBase("changes \"\(target.excerpt)\", which \(model) does not have")
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
      return "A LoRA of convolutions is not supported by this model: export one of the linear "
        + "layers only (\"\(tensor.excerpt)\" is \(shape))."
    case .unsupportedPattern(let pattern):
      return "The peel gives alphas by the pattern \"\(pattern.excerpt)\", which is not supported: "
        + "write the names of the layers into alpha_pattern."
    case .unknownTensor(let name):
      return "The peel has the tensor \"\(name.excerpt)\", which is no part of a LoRA in a form "
        + "that is known here: export a plain LoRA in PEFT, diffusers or kohya form."
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
