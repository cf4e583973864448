package import ArgumentParser
import BananaAPI

/// The command line, `banana`.
package struct BananaCommand: AsyncParsableCommand {
  package static let configuration = CommandConfiguration(
    commandName: "banana",
    abstract: "Draws pictures from text, through the bananad of this machine.",
    discussion: """
      The daemon's socket is --socket, else $BANANA_SOCKET, else \
      $XDG_RUNTIME_DIR/banana/banana.sock, else /run/banana/banana.sock.

      Exit codes: 0 done; 64 the command or the request is wrong; 69 no daemon or no model; 75 \
      busy, try again later; 130 interrupted; 1 anything else.
      """,
    version: BananaVersion.current,
    subcommands: [
      GenerateCommand.self, StatusCommand.self, ModelCommand.self, PeelCommand.self,
      JobsCommand.self, DoctorCommand.self,
    ])

  package init() {}
}

/// How to reach the daemon.
struct ConnectionOptions: ParsableArguments {
  @Option(help: ArgumentHelp("Path of the daemon's socket.", valueName: "path"))
  var socket: String?
}
