import ArgumentParser
import BananaAPI
import BananaServer
import Serving

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Sees to what has to hold before anything runs, then parses and runs; what goes wrong is one
/// line on standard error and an exit code.
@main
enum Main {
  /// Standard streams, sockets, event loops of three descriptors, the model's files, and a few
  /// connections.
  private static var descriptors: Int { 32 + 4 * ProcessLimits.processors }
  /// Tasks, event loops, the pool for files and the engine have a thread a processor each.
  private static var threads: Int { 4 * ProcessLimits.processors + 4 }

  /// EX_USAGE of sysexits.h.
  private static let usage: Int32 = 64

  static func main() async {
    ProcessLimits.occupyStandardStreams()
    if let shortage = ProcessLimits.shortage(descriptors: descriptors, threads: threads) {
      fail(shortage, EXIT_FAILURE)
    }
    var command: any ParsableCommand
    do { command = try Bananad.parseAsRoot() } catch { Bananad.exit(withError: error) }
    // Whatever else there is to run is the parser's own: help.
    guard let bananad = command as? Bananad else {
      do { try command.run() } catch { Bananad.exit(withError: error) }
      return
    }
    do {
      try await bananad.run()
    } catch let error as UsageError {
      fail(error.message, usage)
    } catch let error as SettingsError {
      fail("\(error)", usage)
    } catch let error as ListenerError {
      fail("\(error)", error.isOfPath ? usage : EXIT_FAILURE)
    } catch {
      fail("\(error)", EXIT_FAILURE)
    }
  }

  private static func fail(_ message: String, _ code: Int32) -> Never {
    var line = Array("bananad: \(message)\n".utf8)[...]
    while !line.isEmpty {
      let count = line.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
      if count > 0 { line = line.dropFirst(count) } else if errno != EINTR { break }
    }
    exit(code)
  }
}

/// An option is missing or wrong.
struct UsageError: Error {
  var message: String
}
