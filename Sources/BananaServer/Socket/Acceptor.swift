import Dispatch

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Accepts the connections of one socket, on a thread of its own.
///
/// A connection is looked at before anything is made for it, so that one that is turned away costs
/// a few system calls. Whoever opens them without end still could have a processor work for nothing
/// else; so the thread rests after each, and lets the next ones wait in the socket's queue, where
/// they cost nothing. The queue is short: who is behind them in it hardly notices.
final class Acceptor: Sendable {
  /// How long clients wait for each connection that is turned away before theirs.
  private static let microsecondsPerRefusal: UInt32 = 100
  /// Connections between two rests, so that resting is worth while.
  private static let row = 16
  /// Until it is looked again whether there is room for another, or a descriptor.
  private static let pauseMicroseconds: UInt32 = 2_000

  private let descriptor: Int32
  private let path: String
  /// A pipe that is written to when it is time to stop.
  private let wakeReader: Int32
  private let wakeWriter: Int32
  private let queue = DispatchQueue(label: "banana.accept", qos: .userInitiated)

  /// - Parameter listener: Its descriptor is the acceptor's from here on, and closed in the end.
  init(_ listener: Listener) throws(ListenerError) {
    descriptor = listener.descriptor
    path = listener.path
    var ends: [Int32] = [-1, -1]
    guard pipe(&ends) == 0 else { throw .system(call: "pipe", errno: errno, path: path) }
    (wakeReader, wakeWriter) = (ends[0], ends[1])
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    // systemd's block, and have room for all who come before there is a daemon.
    guard fcntl(descriptor, F_SETFL, O_NONBLOCK) == 0, listen(descriptor, Listener.backlog) == 0
    else { throw .system(call: "listen", errno: errno, path: path) }
  }

  deinit {
    close(wakeReader)
    close(wakeWriter)
  }

  /// Accepts until `stop`, or until the task is cancelled.
  /// - Parameters:
  ///   - hasRoom: Whether one more can be let in at the moment; asked again and again while not.
  ///   - take: Gets each connection, to keep or to close, with the uid at its other end, nil when
  ///     the kernel does not say; returns whether it was let in.
  /// - Throws: What is wrong with the socket itself.
  func run(
    hasRoom: @escaping @Sendable () -> Bool,
    take: @escaping @Sendable (_ connection: Int32, _ uid: UInt32?) -> Bool
  ) async throws(ListenerError) {
    let code = await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        queue.async { [self] in
          let code = acceptAll(hasRoom, take)
          close(descriptor)
          continuation.resume(returning: code)
        }
      }
    } onCancel: {
      stop()
    }
    if let code { throw .system(call: "accept", errno: code, path: path) }
  }

  func stop() {
    _ = write(wakeWriter, "", 1)
  }

  /// - Returns: The error that ended it; nil when it was told to stop.
  private func acceptAll(
    _ hasRoom: () -> Bool, _ take: (Int32, UInt32?) -> Bool
  ) -> Int32? {
    while true {
      var files = [
        pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
        pollfd(fd: wakeReader, events: Int16(POLLIN), revents: 0),
      ]
      if poll(&files, 2, -1) < 0, errno != EINTR { return errno }
      if files[1].revents != 0 { return nil }
      var refusals: UInt32 = 0
      row: for _ in 0..<Self.row {
        guard hasRoom() else {
          usleep(Self.pauseMicroseconds)
          break
        }
        let connection = accept(descriptor, nil, nil)
        guard connection >= 0 else {
          switch errno {
          case EINTR, ECONNABORTED: continue row
          case EAGAIN: break row
          // Others hold what it takes, and give it back.
          case EMFILE, ENFILE, ENOBUFS, ENOMEM:
            usleep(Self.pauseMicroseconds)
            break row
          case let code: return code
          }
        }
        _ = fcntl(connection, F_SETFD, FD_CLOEXEC)
        if !take(connection, Self.uid(of: connection)) { refusals += 1 }
      }
      if refusals > 0 { usleep(refusals * Self.microsecondsPerRefusal) }
    }
  }

  /// The credentials with which the other end connected (`SO_PEERCRED`, unix(7)).
  private static func uid(of connection: Int32) -> UInt32? {
    // As the kernel lays out struct ucred; glibc hides its own behind a feature macro.
    var credentials: (pid: Int32, uid: UInt32, gid: UInt32) = (0, 0, 0)
    var length = socklen_t(MemoryLayout.size(ofValue: credentials))
    guard getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &credentials, &length) == 0 else {
      return nil
    }
    return credentials.uid
  }
}
