import ArgumentParser
import BananaAPI

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

extension BananaCommand {
  /// Standard streams, a few files, an event loop of three descriptors, a connection.
  private static let descriptors = 14

  /// Sees to what has to hold before anything is parsed, or ends the process with what is wrong.
  package static func prepareProcess() {
    ProcessLimits.occupyStandardStreams()
    // Writing fails with a reason instead.
    signal(SIGPIPE, SIG_IGN)
    signal(SIGXFSZ, SIG_IGN)
    // Tasks run on as many threads as there are processors; the event loop and signals have one.
    let threads = ProcessLimits.processors + 3
    if let shortage = ProcessLimits.shortage(descriptors: descriptors, threads: threads) {
      end(.other, shortage)
    }
    if let wrong = invalidArgument() {
      end(
        .usage,
        "The argument \(wrong) is not valid UTF-8. Rename the file, or set the terminal to UTF-8.")
    }
  }

  /// The first argument that is no UTF-8, as far as it can be shown: another would stand for it.
  private static func invalidArgument() -> String? {
    for index in 1..<max(Int(CommandLine.argc), 1) {
      guard let argument = CommandLine.unsafeArgv[index] else { continue }
      if String(validatingCString: argument) == nil { return String(cString: argument) }
    }
    return nil
  }

  private static func end(_ code: FailureCode, _ message: String) -> Never {
    Terminal.writeError("banana: \(message)\n")
    systemExit(code.rawValue)
  }
}

/// `exit(3)`, under a name that the command's own `exit` does not hide.
private func systemExit(_ code: Int32) -> Never {
  exit(code)
}
