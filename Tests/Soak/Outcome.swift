import BananaAPI
import BananaSDK
import BananaTesting

/// No answer came in time.
struct Unanswered: Error {
  var seconds: Double
}

/// An answer that is not what was promised.
struct Mismatch: Error {
  var what: String
}

/// How a request ended without the answer that was hoped for.
enum Outcome: Sendable {
  /// Refused as the client had to expect.
  case refused(ErrorCode, retryAfter: Double?)
  /// As is right while the daemon is down, and only then.
  case interrupted(String)
  case failed(String)

  /// - Parameter expected: Codes that this request may end with.
  init(_ error: any Error, expecting expected: Set<ErrorCode>) {
    switch error {
    case let error as BananaError: self.init(error, expected)
    case let error as RawConnection.Failed: self = .interrupted("\(error.call): \(error.errno)")
    case let error as Unanswered: self = .failed("no answer within \(Int(error.seconds)) s")
    case let error as Mismatch: self = .failed(error.what)
    default: self = .failed("\(error)")
    }
  }

  private init(_ error: BananaError, _ expected: Set<ErrorCode>) {
    switch error {
    case .daemonNotRunning, .connectionLost, .permissionDenied:
      self = .interrupted("\(error)")
    case .refused(let refusal):
      self.init(refusal, expected)
    case .unusableSocketPath, .unexpectedAnswer, .unreadableFile, .cancelled:
      self = .failed("\(error)")
    }
  }

  private init(_ refusal: APIError, _ expected: Set<ErrorCode>) {
    let retryAfter = refusal.retryAfterSeconds.map(Double.init)
    switch refusal.code {
    case .shuttingDown:
      self = .interrupted(refusal.code.rawValue)
    case .busy, .quotaExceeded:
      self =
        retryAfter == nil
        ? .failed("\(refusal.code.rawValue) without Retry-After")
        : .refused(refusal.code, retryAfter: retryAfter)
    case let code where expected.contains(code):
      self = .refused(code, retryAfter: nil)
    default:
      self = .failed("\(refusal.code.rawValue): \(refusal.message)")
    }
  }
}

/// What `body` returns, unless that takes longer.
/// - Throws: `Unanswered`, and what `body` throws.
func within<Value: Sendable>(
  _ seconds: Double, _ body: @escaping @Sendable () async throws -> Value
) async throws -> Value {
  try await withThrowingTaskGroup(of: Value.self) { group in
    group.addTask { try await body() }
    group.addTask {
      try await Task.sleep(for: .seconds(seconds))
      throw Unanswered(seconds: seconds)
    }
    defer { group.cancelAll() }
    return try await group.next()!
  }
}
