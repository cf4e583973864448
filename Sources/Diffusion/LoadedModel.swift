import FoundationEssentials
package import Models
package import Text
package import Weights

/// Why a folder is no model that can be run.
package enum ModelLoadingError: Error, CustomStringConvertible {
  case package(ModelPackageError)
  case unknownFamily(String, known: [String])
  case configuration(String)
  case vocabulary(String)
  case latents(reason: String)

  package var description: String {
    switch self {
    case .package(let error): "\(error)"
    case .unknownFamily(let family, let known):
      "the model is of family \"\(family)\", which this version does not know (it knows "
        + "\(known.joined(separator: ", "))): install a newer version of banana"
    case .configuration(let reason):
      "model.json's \"configuration\" cannot be used: \(reason). Install the model again."
    case .vocabulary(let reason):
      "the model's vocabulary cannot be used: \(reason). Install the model again."
    case .latents(let reason):
      "model.json's \"latents\" cannot be used: \(reason). Install the model again."
    }
  }
}

/// What people and the API are told about a model.
package struct ModelFacts: Sendable {
  package struct License: Sendable {
    package let what: String
    package let license: String
    package let source: String
  }

  package let name: String
  package let family: String
  package let version: String
  package let description: String
  package let licenses: [License]
  package let styles: [String]
  package let defaultStyle: String
  /// Pixels on a side.
  package let sizes: [Int]
  package let nativeSize: Int
  package let steps: Int
  package let guidance: Float
  package let parameterCount: Int
}

/// A model package, opened and checked: networks, weights, tokenizer and how to sample.
package final class LoadedModel {
  package let facts: ModelFacts
  package let family: any ModelFamily
  package let stores: [ModelComponent: WeightStore]
  package let weightBytes: Int

  let tokenizer: WordPieceTokenizer
  let maximumTokens: Int
  let promptTemplate: String
  let prediction: Prediction
  let sigmaShift: Double
  /// `[channel]`: decoder latents are `x * deviation + mean`.
  let latentMean: [Float]
  let latentDeviation: [Float]

  var sizes: [Int] { facts.sizes }
  var steps: Int { facts.steps }
  var guidance: Float { facts.guidance }
}
