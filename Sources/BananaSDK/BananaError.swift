public import BananaAPI

/// Why a call to the daemon failed.
public enum BananaError: Error, Sendable, Equatable {
  /// Nothing answers on the socket.
  case daemonNotRunning(socketPath: String)
  /// The socket is there and this user may not connect to it.
  case permissionDenied(socketPath: String)
  /// No socket can have this path.
  case unusableSocketPath(path: String, reason: String)
  /// The daemon answered with an error.
  case refused(APIError)
  /// The connection ended before the answer did.
  case connectionLost(reason: String)
  /// What answered does not speak this API.
  case unexpectedAnswer(httpStatus: Int, reason: String)
  /// A file to send cannot be read.
  case unreadableFile(path: String, reason: String)
  /// The calling task was cancelled.
  case cancelled

  /// How long to wait before the same call can succeed; nil when trying again cannot help.
  ///
  /// A daemon that is full or over a quota says itself when there will be room.
  public var retryAfter: Duration? {
    switch self {
    case .refused(let error): error.retryAfterSeconds.map { .seconds($0) }
    case .connectionLost: .seconds(1)
    case .daemonNotRunning, .permissionDenied, .unusableSocketPath, .unexpectedAnswer,
      .unreadableFile, .cancelled:
      nil
    }
  }

  /// The daemon's code for the error, when it was the daemon that refused.
  public var code: ErrorCode? {
    if case .refused(let error) = self { error.code } else { nil }
  }
}

extension BananaError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .daemonNotRunning(let socketPath):
      "No bananad is serving on \(socketPath). Start it with: bananad --socket \(socketPath)"
    case .permissionDenied(let socketPath):
      "You may not connect to \(socketPath). Join its group (\"banana\" for the system's daemon), "
        + "or start a bananad of your own."
    case .unusableSocketPath(let path, let reason):
      "The socket path \(path.prefix(128)) \(reason). "
        + "Choose another one with --socket or BANANA_SOCKET."
    case .refused(let error):
      error.message
    case .connectionLost(let reason):
      "The connection to bananad was lost: \(reason). Look into its log and try again."
    case .unexpectedAnswer(let httpStatus, let reason):
      "The answer (HTTP \(httpStatus)) is not bananad's: \(reason). Check the socket's path."
    case .unreadableFile(let path, let reason):
      "\(path) cannot be read: \(reason). Check the path and its permissions."
    case .cancelled:
      "Cancelled."
    }
  }
}
