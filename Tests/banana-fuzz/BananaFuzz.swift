import FoundationEssentials
import FuzzTargets
import Glibc

/// Keeps corpora, replays inputs, and in the build of `make fuzz` is libFuzzer as well.
@main
struct BananaFuzz {
  private static let usage = """
    usage: banana-fuzz list                    names the targets
           banana-fuzz replay TARGET FILE…     runs a target on inputs
           banana-fuzz keep TARGET FILE…       keeps inputs for ever, as kept-FILE
           banana-fuzz unpack TARGET FOLDER    writes the kept inputs as files
           banana-fuzz pack TARGET FOLDER      keeps the files of a folder, and nothing else
           banana-fuzz --target=TARGET …       fuzzes, with libFuzzer's flags; see `make fuzz`
    """

  /// libFuzzer leaves flags with two dashes alone, and hands them on to processes of its own.
  fileprivate static let flag = "--target="

  static func main() {
    if run(CommandLine.arguments) { return }
    #if FUZZING
      // libFuzzer keeps the input of a crash only if nobody else takes the signal.
      for number in [SIGILL, SIGTRAP, SIGSEGV, SIGBUS, SIGFPE, SIGABRT] { signal(number, SIG_DFL) }
      var argumentCount = CommandLine.argc
      var arguments: Arguments? = CommandLine.unsafeArgv
      exit(runDriver(&argumentCount, &arguments, runOneInput))
    #else
      fail("This program was built without libFuzzer. Use `make fuzz`.")
    #endif
  }

  /// Does what it is told; false when that is to fuzz.
  fileprivate static func run(_ arguments: [String]) -> Bool {
    guard arguments.count > 1 else { fail(usage) }
    if arguments[1].hasPrefix(flag) { return false }
    if arguments[1] == "list" {
      for target in FuzzTarget.allCases { print(target.rawValue) }
      return true
    }
    guard arguments.count > 3, let target = FuzzTarget(rawValue: arguments[2]) else { fail(usage) }
    do {
      switch arguments[1] {
      case "replay": for path in arguments[3...] { try replay(target, path) }
      case "keep": try keep(target, Array(arguments[3...]))
      case "unpack": try unpack(target, arguments[3])
      case "pack": try pack(target, arguments[3])
      default: fail(usage)
      }
    } catch { fail("\(error)") }
    return true
  }

  private static func replay(_ target: FuzzTarget, _ path: String) throws {
    let bytes = [UInt8](try Data(contentsOf: URL(filePath: path)))
    try target.run(bytes)
    print("\(path): \(bytes.count) bytes, nothing found")
  }

  private static func keep(_ target: FuzzTarget, _ paths: [String]) throws {
    let new = try paths.map { path in
      Corpus.Input(
        name: Corpus.keptPrefix + (path.split(separator: "/").last ?? ""),
        bytes: [UInt8](try Data(contentsOf: URL(filePath: path))))
    }
    let names = Set(new.map(\.name))
    try Corpus(Corpus(of: target).inputs.filter { !names.contains($0.name) } + new)
      .write(for: target)
  }

  private static func unpack(_ target: FuzzTarget, _ folder: String) throws {
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    for input in try Corpus(of: target).inputs {
      try Data(input.bytes).write(to: URL(filePath: "\(folder)/\(input.name)"))
    }
  }

  private static func pack(_ target: FuzzTarget, _ folder: String) throws {
    let names = try FileManager.default.contentsOfDirectory(atPath: folder)
    try Corpus(
      names.map { name in
        // libFuzzer calls files by their sha1; a part of it is enough.
        .init(
          name: name.hasPrefix(Corpus.keptPrefix) ? name : String(name.prefix(16)),
          bytes: [UInt8](try Data(contentsOf: URL(filePath: "\(folder)/\(name)"))))
      }
    ).write(for: target)
  }

  fileprivate static func fail(_ message: String) -> Never {
    write(STDERR_FILENO, message + "\n", message.utf8.count + 1)
    exit(1)
  }
}

/// What libFuzzer runs.
private let target: FuzzTarget = {
  let name = String(CommandLine.arguments[1].dropFirst(BananaFuzz.flag.count))
  guard let target = FuzzTarget(rawValue: name) else {
    BananaFuzz.fail("There is no target \"\(name)\"; `banana-fuzz list` names them.")
  }
  return target
}()

@_cdecl("LLVMFuzzerTestOneInput")
func runOneInput(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  do {
    try target.run(Array(UnsafeBufferPointer(start: bytes, count: count)))
  } catch {
    fatalError("\(target): \(error)")
  }
  return 0
}

#if FUZZING
  private typealias Arguments = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>

  /// libFuzzer's own main, for programs that have one.
  @_silgen_name("LLVMFuzzerRunDriver")
  private func runDriver(
    _ argumentCount: UnsafeMutablePointer<CInt>, _ arguments: UnsafeMutablePointer<Arguments?>,
    _ body: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
  ) -> CInt
#endif
