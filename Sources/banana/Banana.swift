import ArgumentParser
import BananaCommands

/// Parses and runs.
@main
enum Banana {
  static func main() async {
    BananaCommand.prepareProcess()
    await BananaCommand.main()
  }
}
