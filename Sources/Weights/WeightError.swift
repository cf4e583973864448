package import TensorTypes

/// Why a weight cannot be had from the files.
package enum WeightError: Error, Equatable, CustomStringConvertible {
  case missing(weight: String)
  /// The weight is stored in several forms.
  case ambiguous(weight: String, tensors: [String])
  /// Two files have a tensor of the same name.
  case duplicate(tensor: String)
  case missingScale(weight: String, tensor: String)
  case wrongType(tensor: String, type: SafetensorsType)
  case wrongShape(tensor: String, expected: Shape, actual: Shape)
  /// The form is for matrices or tables of another kind than the logical shape.
  case unfitForm(tensor: String, logicalShape: Shape)
  /// NaN or infinity among the numbers or scales.
  case notFinite(tensor: String)
  /// A smoothing of zero, of less, or of what is no number.
  case notPositive(tensor: String)
  case zeroPointOutOfRange(tensor: String)
  /// -128, which the kernels' integer arithmetic excludes.
  case outOfRange(tensor: String)

  package var description: String {
    let problem =
      switch self {
      case .missing(let weight): "has no \"\(weight)\""
      case .ambiguous(let weight, let tensors):
        "stores \"\(weight)\" more than once: \(tensors.joined(separator: ", "))"
      case .duplicate(let tensor): "has \"\(tensor)\" in two files"
      case .missingScale(let weight, let tensor): "has \"\(tensor)\" without \"\(weight).scale\""
      case .wrongType(let tensor, let type):
        "stores \"\(tensor)\" as \(type.rawValue), which does not fit its form"
      case .wrongShape(let tensor, let expected, let actual):
        "stores \"\(tensor)\" with shape \(actual); \(expected) is needed"
      case .unfitForm(let tensor, let shape):
        "stores \"\(tensor)\" in a form that a weight of shape \(shape) cannot have"
      case .notFinite(let tensor): "has NaN or infinity in \"\(tensor)\""
      case .notPositive(let tensor): "has numbers in \"\(tensor)\" that are not above zero"
      case .zeroPointOutOfRange(let tensor):
        "has a number in \"\(tensor)\" that is not in -126...126"
      case .outOfRange(let tensor): "has -128 in \"\(tensor)\"; -127...127 is allowed"
      }
    return "The model \(problem). Its files do not belong together or were exported wrongly: "
      + "install or export it again."
  }
}
