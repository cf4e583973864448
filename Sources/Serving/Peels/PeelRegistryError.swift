package import BananaAPI
import Models

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Why a peel could not be found, installed or removed.
package enum PeelRegistryError: Error, Equatable {
  case badName(String)
  case unknownRecipe(String)
  /// The asking user has no such peel.
  case notFound(name: String, known: [String])
  /// It is no LoRA, and named as if it were one.
  case embedding(name: String)
  /// It is a LoRA, and a prompt names it as an embedding.
  case noEmbedding(name: String)
  /// A prompt names an embedding that the user does not have.
  case unknownEmbedding(name: String, known: [String])
  /// It is there for all, and only the administrator may remove it.
  case notYours(name: String)
  /// It came with Banana.
  case shipped(name: String)
  case tooLarge(maximumBytes: Int)
  case tooMany(maximumPeels: Int)
  case tooManyBytes(usedBytes: Int, neededBytes: Int, maximumBytes: Int)
  /// The peels of all users together take what they may.
  case noRoomForAll(usedBytes: Int, neededBytes: Int, maximumBytes: Int)
  case tooManyUploads(maximumUploads: Int)
  /// The files that a user's jobs hold open, and this one.
  case tooMuchOpen(neededBytes: Int, maximumBytes: Int)
  /// What the jobs of all users hold open leaves this user no room for it.
  case tooMuchOpenByAll(neededBytes: Int)
  /// The client went away in the middle of the file.
  case uploadBroken
  /// The file is no peel for this model.
  case invalid(reason: String)
  /// The file's content is not what was installed.
  case changed(name: String, expected: String, actual: String)
  /// Somebody removed the file behind the daemon's back.
  case vanished(name: String)
  /// There is no model to compare the peel with.
  case model(APIError)
  case system(call: String, errno: Int32, path: String)
}

extension APIError {
  /// What goes over the wire for a failure with peels.
  package init(_ error: PeelRegistryError) {
    switch error {
    case .badName(let name):
      self.init(
        .invalidRequest,
        "\"\(name.prefix(80))\" is no name for a peel. A name has 1 to "
          + "\(PeelLimits.nameCharacters) of a-z, 0-9, \".\", \"_\" and \"-\" and begins with a "
          + "letter or a digit. Choose another.", param: "name")
    case .unknownRecipe(let name):
      let known = Distillation.Method.allCases.map(\.rawValue).joined(separator: ", ")
      self.init(
        .invalidRequest,
        "There is no recipe \"\(name.prefix(64))\". Choose one of \(known), with the number of "
          + "steps if it was distilled to one (hyper-sd-8), or none.", param: "recipe")
    case .embedding(let name):
      self.init(
        .invalidRequest,
        "\"\(name)\" is an embedding and no LoRA: write its name into prompt or negative_prompt, "
          + "and leave it out of peels.", param: "name")
    case .noEmbedding(let name):
      self.init(
        .invalidRequest,
        "\"embedding:\(name)\" names a LoRA and no embedding: leave it out, and name it in peels.",
        param: "prompt")
    case .unknownEmbedding(let name, let known):
      self.init(
        .peelNotFound,
        "There is no embedding \"\(name.prefix(80))\". Installed for you: \(Self.list(known)). "
          + "Install it as a peel, or write it without \"embedding:\".", param: "prompt")
    case .notFound(let name, let known):
      self.init(
        .peelNotFound,
        "There is no peel \"\(name.prefix(80))\". Installed for you: \(Self.list(known)).",
        param: "name")
    case .notYours(let name):
      self.init(
        .peelNotFound,
        "The peel \"\(name)\" is installed for all and not by you. Its administrator can remove "
          + "it through the admin socket.", param: "name")
    case .shipped(let name):
      self.init(
        .invalidRequest,
        "The peel \"\(name)\" came with Banana and cannot be removed. Leave it unused.",
        param: "name")
    case .tooLarge(let maximumBytes):
      self.init(
        .requestTooLarge,
        "The file is larger than the \(maximumBytes >> 20) MiB that a peel may have. Export the "
          + "peel with a smaller rank or in F16.")
    case .tooMany, .tooManyBytes, .tooManyUploads: self.init(quota: error)
    case .noRoomForAll(let usedBytes, let neededBytes, let maximumBytes):
      self.init(
        .notEnoughDiskSpace,
        "The peels of all users have \(usedBytes) bytes, this one needs \(neededBytes) more, and "
          + "\(maximumBytes) are for them. Remove peels, or ask who runs the machine to raise "
          + "peel_bytes_total.")
    case .tooMuchOpen(let neededBytes, let maximumBytes):
      self.init(
        .insufficientMemory,
        "The peel needs \(neededBytes >> 20) MiB of memory, and with those that are in use "
          + "more than the \(maximumBytes >> 20) MiB that peels of a user may have. Try again when "
          + "your other jobs are done.", param: "peels")
    case .tooMuchOpenByAll(let neededBytes):
      self.init(
        .insufficientMemory,
        "The peel needs \(neededBytes >> 20) MiB of memory, and the peels that jobs of all users "
          + "draw with leave you less. Try again when some of them are done.", param: "peels")
    case .uploadBroken:
      self.init(.invalidRequest, "The file did not arrive whole. Send it again.")
    case .invalid(let reason):
      self.init(.peelInvalid, reason)
    case .changed(let name, let expected, let actual):
      self.init(
        .peelInvalid,
        "The file of the peel \"\(name)\" was changed on disk: its sha256 is \(actual) and was "
          + "\(expected) when it was installed. Remove the peel and install it again.",
        param: "name")
    case .vanished(let name):
      self.init(
        .peelInvalid,
        "The file of the peel \"\(name)\" is gone from the disk. Install the peel again.",
        param: "name")
    case .model(let error):
      self = error
    case .system(_, ENOSPC, let path), .system(_, EDQUOT, let path):
      self.init(
        .notEnoughDiskSpace,
        "There is no room on the disk of \(path). Remove peels or other files and try again.")
    case .system(let call, let errno, let path):
      self.init(
        .internalError,
        "\(call) failed for \(path): \(String(cString: strerror(errno))). Check that the folder "
          + "exists and belongs to bananad's user.")
    }
  }

  private static func list(_ known: [String]) -> String {
    let more = known.count > 20 ? " and \(known.count - 20) more" : ""
    return known.isEmpty ? "none" : known.prefix(20).joined(separator: ", ") + more
  }

  private init(quota error: PeelRegistryError) {
    let message =
      switch error {
      case .tooMany(let maximumPeels):
        "You have \(maximumPeels) peels, which is all that a user may have. Remove one first."
      case .tooManyBytes(let usedBytes, let neededBytes, let maximumBytes):
        "Your peels have \(usedBytes) bytes and this one needs \(neededBytes) more; a user may "
          + "have \(maximumBytes). Remove some first."
      case .tooManyUploads(let maximumUploads):
        "\(maximumUploads) of your peels are being installed. Wait until one of them is done."
      default:
        preconditionFailure("\(error) is no quota")
      }
    self.init(.quotaExceeded, message)
    // Waiting does not make room; only the uploads end by themselves.
    if case .tooManyUploads = error { retryAfterSeconds = 2 } else { retryAfterSeconds = nil }
  }
}
