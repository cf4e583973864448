package import TensorTypes

/// Why a peel cannot be used: with all models, or with the one it is wanted for.
package enum PeelError: Error, Equatable, CustomStringConvertible {
  case file(FileError)
  case tooLarge(bytes: Int, maximumBytes: Int)
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
  /// A form of LoRA that would have to be applied otherwise.
  case unsupportedForm(String)
  case notFinite(tensor: String)

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
    case .tooLarge(let bytes, let maximum):
      return "The peel has \(bytes) bytes and at most \(maximum) are allowed. Train it with a "
        + "smaller rank, or store it in F16."
    case .empty:
      return "The file has no low-rank updates: it is not a peel. Give a LoRA in PEFT, diffusers "
        + "or kohya form."
    case .wrongBase(let model, let expected, let actual):
      return "The peel was made for another base model (\(expected.prefix(12))…) than \(model) "
        + "(\(actual.prefix(12))…). Get the peel that was made for this version of \(model)."
    case .unknownTarget(let target, let model):
      return Self.otherBase("changes \"\(target)\", which \(model) does not have")
    case .unfitUpdate(let target, let expected, let actual):
      return Self.otherBase("has an update \(actual) for \"\(target)\", which is \(expected)")
    default: return "The peel \(problem). Export it again, or get an undamaged copy."
    }
  }

  private static func otherBase(_ problem: String) -> String {
    "The peel \(problem). It was made for another model: get one that was made for this model."
  }

  private var problem: String {
    switch self {
    case .unknownTensor(let name): "has the tensor \"\(name)\", which is no part of a LoRA"
    case .duplicate(let target, let part): "has \(part) of \"\(target)\" twice"
    case .missingPart(let target, let part): "lacks \(part) of \"\(target)\""
    case .wrongType(let tensor, let type):
      "stores \"\(tensor)\" as \(type.rawValue); F32, F16 or BF16 is needed"
    case .wrongShape(let tensor, let shape): "has \"\(tensor)\" of the shape \(shape)"
    case .unequalRanks(let target, let down, let up):
      "has ranks \(down) and \(up) for the two parts of \"\(target)\""
    case .wrongRank(let target, let rank, let maximum):
      "has rank \(rank) for \"\(target)\"; 1...\(maximum) is allowed"
    case .invalidAlpha(let place): "gives no positive number as alpha in \(place)"
    case .unsupportedForm(let form): "uses \(form), which is not supported"
    case .notFinite(let tensor): "has NaN or infinity in \"\(tensor)\""
    case .repeatedTarget(let target): "names the layer \"\(target)\" twice"
    default: "is damaged"
    }
  }
}
