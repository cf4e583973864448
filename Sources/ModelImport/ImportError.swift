package import Models
package import TensorTypes
package import Text
package import Weights

/// Why a checkpoint does not become a model.
package enum ImportError: Error, CustomStringConvertible {
  case file(FileError)
  case safetensors(SafetensorsError)
  /// It is something else than a checkpoint that can be drawn with.
  case otherKind(path: String, what: String, remedy: String)
  /// A folder without a part that there must be.
  case missingPart(path: String, part: String)
  case json(path: String, reason: String)
  case configuration(path: String, ConfigurationError)
  /// The networks need a tensor that the file does not have.
  case missingTensor(path: String, tensor: String, component: String)
  case wrongShape(path: String, tensor: String, expected: Shape, actual: Shape)
  /// The file has tensors that no network reads.
  case strayTensors(path: String, first: String, count: Int)
  case duplicateTensor(path: String, tensor: String)
  case wrongType(path: String, tensor: String, type: SafetensorsType)
  case notFinite(path: String, tensor: String)
  /// Numbers that f16 cannot hold.
  case tooLarge(path: String, tensor: String)
  case vocabulary(path: String, BytePairTableError)
  case vocabularySize(path: String, tokens: Int, embeddings: Int)
  case recipe(reason: String)
  case invalidName(String)
  case nameTaken(String, path: String)
  case noRoom(folder: String, neededBytes: Int, freeBytes: Int)
  case cancelled

  package var description: String {
    switch self {
    case .file(let error): "\(error)"
    case .safetensors(let error): "\(error)"
    case .otherKind(let path, let what, let remedy): "\(path) is \(what). \(remedy)"
    case .missingPart(let path, let part):
      "\(path) has no \(part), which a checkpoint needs. Get the whole folder, or import a single "
        + ".safetensors file."
    case .json(let path, let reason):
      "\(path) cannot be read: \(reason). Get the file again."
    case .configuration(let path, let error): "\(path) cannot be drawn with: \(error)."
    case .missingTensor(let path, let tensor, let component):
      "\(path) has no \"\(tensor.excerpt)\", which its \(component) needs. It is not whole, or "
        + "of a kind that is not known: get it again, or another version of the checkpoint."
    case .wrongShape(let path, let tensor, let expected, let actual):
      "\(path) has \"\(tensor.excerpt)\" with shape \(actual), where the rest of the checkpoint "
        + "asks for \(expected). Its parts do not belong together: get it again."
    case .strayTensors(let path, let first, let count):
      "\(path) has \(count == 1 ? "a tensor" : "\(count) tensors") that nothing here reads, the "
        + "first is \"\(first.excerpt)\". It is of a kind that is not known; pictures would be "
        + "wrong without \(count == 1 ? "it" : "them")."
    case .duplicateTensor(let path, let tensor):
      "\(path) has \"\(tensor.excerpt)\", and so does another of its files. Get the "
        + "checkpoint again."
    case .wrongType(let path, let tensor, let type):
      "\(path) stores \"\(tensor.excerpt)\" as \(type.rawValue). Get a version of the "
        + "checkpoint in F32, F16 or BF16."
    case .notFinite(let path, let tensor):
      "\(path) has NaN or infinity in \"\(tensor.excerpt)\": the checkpoint is broken, and "
        + "would draw nothing. Get it again, or another version of it."
    case .tooLarge(let path, let tensor):
      "\(path) has numbers in \"\(tensor.excerpt)\" that are too large for f16. The checkpoint is "
        + "broken: get another version of it."
    case .vocabulary(let path, let error): "\(path): \(error)"
    case .vocabularySize(let path, let tokens, let embeddings):
      "\(path) has \(tokens) tokens and the text encoder \(embeddings) embeddings. They do not "
        + "belong together: get the checkpoint's tokenizer folder again."
    case .recipe(let reason): reason
    case .invalidName(let name):
      "\"\(name.excerpt)\" cannot be a model's name: it has 1 to 64 of a-z, 0-9, \".\", \"-\" and "
        + "\"_\", and begins with a letter or a digit. Give another with --name."
    case .nameTaken(let name, let path):
      "There is a model \"\(name)\" already, in \(path). Give another name with --name, or remove "
        + "that one: banana model remove \(name)"
    case .noRoom(let folder, let needed, let free):
      "\(folder) has \(free >> 20) MiB free and the model needs \(needed >> 20) MiB. Make room, or "
        + "give another folder with --to."
    case .cancelled: "The import was stopped; nothing of it is left."
    }
  }
}
