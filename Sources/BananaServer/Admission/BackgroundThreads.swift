import Execution
import NIOPosix

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Threads for work that takes its time and that no quota measures: decoding pictures, reading
/// large bodies. They serve no socket, and step back behind those that do and those that draw.
enum BackgroundThreads {
  /// A tenth of the weight of a thread that draws, when both want the same processor.
  private static let niceness: Int32 = 10

  /// Runs `body` on one of them.
  /// - Returns: What came of it, and the processor time that it took.
  static func run<Value: Sendable>(
    _ body: @escaping @Sendable () throws -> Value
  ) async throws -> (result: Result<Value, any Error>, seconds: Double) {
    try await NIOThreadPool.singleton.runIfActive {
      // Of this thread alone: for Linux it is a process of its own. Everybody may step back.
      _ = setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, niceness)
      let began = ThreadClock.seconds
      let result = Result { try body() }
      return (result, ThreadClock.seconds - began)
    }
  }
}
