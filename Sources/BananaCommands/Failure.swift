import ArgumentParser
import BananaAPI
import BananaSDK
import FoundationEssentials
import ModelImport

/// The exit codes of `banana`, from sysexits.h where it has one.
enum FailureCode: Int32 {
  case other = 1
  /// EX_USAGE: the command or the request is wrong.
  case usage = 64
  /// EX_UNAVAILABLE: no daemon or no model.
  case unavailable = 69
  /// EX_TEMPFAIL: worth another try later.
  case temporary = 75
  /// As shells report SIGINT.
  case interrupted = 130
}

/// What went wrong, in words for standard error, and the exit code.
struct Failure: Error, Equatable {
  var code: FailureCode
  var message: String
}

extension Failure {
  init(_ error: any Error) {
    switch error {
    case let error as Failure: self = error
    case let error as BananaError: self.init(error)
    case let error as APIError: self.init(code: Self.code(of: error), message: error.message)
    case let error as ImportError: self.init(error)
    case is CancellationError: self.init(code: .interrupted, message: "Interrupted.")
    default: self.init(code: .other, message: "\(error)")
    }
  }

  private init(_ error: ImportError) {
    let code: FailureCode =
      switch error {
      case .cancelled: .interrupted
      case .file, .noRoom: .other
      default: .usage
      }
    self.init(code: code, message: error.description)
  }

  private init(_ error: BananaError) {
    switch error {
    case .daemonNotRunning(let socketPath):
      self.init(
        code: .unavailable,
        message: """
          No bananad is serving on \(socketPath).
          Start one:        \(SocketAccess(path: socketPath).start)
          Or without one:   banana generate --local "a red apple"
          """)
    case .permissionDenied(let socketPath):
      let socket = SocketAccess(path: socketPath)
      self.init(
        code: .unavailable,
        message: """
          You may not open \(socketPath): it is for the group \(socket.group).
          Join it:          \(socket.remedy)
          Or without it:    banana generate --local "a red apple"
          """)
    case .refused(let refusal): self.init(code: Self.code(of: refusal), message: refusal.message)
    case .connectionLost: self.init(code: .temporary, message: "\(error)")
    case .unreadableFile, .unusableSocketPath:
      self.init(code: .usage, message: "\(error)")
    case .unexpectedAnswer: self.init(code: .other, message: "\(error)")
    case .cancelled: self.init(code: .interrupted, message: "Interrupted.")
    }
  }

  private static func code(of error: APIError) -> FailureCode {
    switch error.code {
    case .invalidRequest, .requestTooLarge, .modelNotFound, .peelNotFound, .peelInvalid,
      .jobNotFound, .forbidden, .unsupportedMediaType:
      .usage
    case .modelUnavailable: .unavailable
    case .busy, .quotaExceeded, .insufficientMemory, .shuttingDown, .deadlineExceeded,
      .requestTimeout:
      .temporary
    case .cancelled: .interrupted
    case .notFound, .methodNotAllowed, .notEnoughDiskSpace, .internalError: .other
    }
  }
}

/// Runs a command's body; a failure goes to standard error and becomes the exit code. So does
/// output that got nowhere, for example into a file on a full disk.
func reportingFailures(_ body: () async throws -> Void) async throws {
  do {
    try await body()
    try Terminal.flushOutput()
  } catch {
    let failure = Failure(error)
    Terminal.writeError("banana: \(failure.message.printableLines)\n")
    throw ExitCode(failure.code.rawValue)
  }
}
