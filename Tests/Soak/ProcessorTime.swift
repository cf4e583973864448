import Foundation

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Seconds of the machine's processors, of all of them together.
struct ProcessorTime: Sendable {
  /// When this was read.
  var time: Double
  /// In which none had anything to do.
  var idle: Double
  /// Of the processes that were asked for.
  var used: Double

  private static let tick = 1 / Double(sysconf(Int32(_SC_CLK_TCK)))

  /// What they were by now.
  static func now(of processes: [Int32]) -> ProcessorTime {
    let all = fields(of: "/proc/stat", after: "cpu ")
    // Idle, and waiting for disks.
    let idle = all.dropFirst(3).prefix(2).reduce(0, +)
    return ProcessorTime(
      time: Clock.now, idle: Double(idle) * tick,
      used: processes.reduce(0) { $0 + seconds(of: $1) })
  }

  /// Of all threads of a process, in user and kernel mode; 0 when it is gone.
  static func seconds(of process: Int32) -> Double {
    // utime and stime are the 14th and 15th, the 12th and 13th after the name in brackets.
    let fields = fields(of: "/proc/\(process)/stat", after: ") ")
    return Double(fields.dropFirst(11).prefix(2).reduce(0, +)) * tick
  }

  private static func fields(of path: String, after mark: String) -> [Int] {
    let text = String(decoding: FileManager.default.contents(atPath: path) ?? Data(), as: UTF8.self)
    let line = text.split(separator: "\n").first ?? ""
    guard let start = line.ranges(of: mark).last?.upperBound else { return [] }
    return line[start...].split(separator: " ").map { Int($0) ?? 0 }
  }
}
