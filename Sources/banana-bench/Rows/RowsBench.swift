import ArgumentParser
import Diffusion
import FoundationEssentials
import Imaging

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Shows that memory does not grow with a picture: a synthetic one is made, changed by a stage that
/// looks around each pixel, enlarged by another and written as PNG, all row by row.
struct RowsBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rows",
    abstract: "Stream a large picture through stages to PNG, and say what memory it took.")

  @Option(help: "Pixels from left to right, a multiple of 4.")
  var width = 8192

  @Option(help: "Pixels from top to bottom, a multiple of 4.")
  var height = 8192

  @Option(help: "Where the PNG file goes; nowhere if not given.")
  var output: String?

  func validate() throws {
    guard width > 0, height > 0, width % 4 == 0, height % 4 == 0 else {
      throw ValidationError("--width and --height must be multiples of 4, and more than 0")
    }
  }

  func run() throws {
    let file = output.map { fopen($0, "wb") } ?? nil
    if let output, file == nil { throw ValidationError("\(output) cannot be written") }
    defer { if let file { fclose(file) } }

    let before = try residentKiB("VmRSS")
    let start = ContinuousClock.now
    let drawn = try SyntheticRows(width: width / 4, height: height / 4)
    let blurred = drawn.through(Blur())
    let picture = blurred.through(Enlargement(factor: 4))
    var writer = try PNGWriter(
      width: picture.width, height: picture.height, format: picture.colorChannels)
    var byteCount = 0
    func take(_ bytes: [UInt8]) throws {
      byteCount += bytes.count
      guard let file, fwrite(bytes, 1, bytes.count, file) != bytes.count else { return }
      throw ValidationError("the file cannot be written to its end")
    }
    while try picture.writeNext(to: &writer) { try take(writer.takeBytes()) }
    try take(writer.finish())
    let seconds = (ContinuousClock.now - start) / .seconds(1)
    let grown = try residentKiB("VmHWM") - before
    print(
      "\(picture.width)x\(picture.height) pixels in \((seconds * 100).rounded() / 100) s, "
        + "\(byteCount) bytes of PNG; bands of \((blurred.bandBytes + picture.bandBytes) >> 10) KiB"
        + "\nmemory grew by \(grown) KiB at most")
  }

  /// A line of /proc/self/status.
  private func residentKiB(_ name: String) throws -> Int {
    let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
    guard let line = status.split(separator: "\n").first(where: { $0.hasPrefix("\(name):") }),
      let number = line.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap({ Int($0) })
    else { throw ValidationError("/proc/self/status has no \(name)") }
    return number
  }
}
