import FoundationEssentials

/// What a driver has compiled, kept on the disk for the next start.
///
/// Drivers have crashed on what another version, or half a write, has left. So a file is used only
/// if its sum is right and if device, driver and the driver's version are those that wrote it.
struct PipelineCacheFile {
  private static let magic = Array("BANANAVK".utf8)

  let path: String
  /// Of the device.
  let key: [UInt8]

  /// - Parameter folder: Where it lies, one file a device.
  init(folder: String, key: [UInt8]) {
    path = "\(folder)/vulkan-\(String(Self.sum(key), radix: 16)).cache"
    self.key = key
  }

  /// What was kept; nothing if there is none, or if it is not to be trusted.
  func read() -> [UInt8] {
    guard let bytes = try? Array(Data(contentsOf: URL(filePath: path))) else { return [] }
    let header = Self.magic + key
    guard bytes.count >= header.count + 8, bytes.starts(with: header) else { return [] }
    let contents = Array(bytes[(header.count + 8)...])
    let sum = bytes[header.count..<header.count + 8].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    return Self.sum(contents) == sum ? contents : []
  }

  /// Replaces what is kept, whole or not at all. Without it, the next start only takes longer.
  func write(_ contents: [UInt8]) {
    let sum = Self.sum(contents)
    let bytes =
      Self.magic + key + (0..<8).map { UInt8(truncatingIfNeeded: sum >> (56 - 8 * $0)) } + contents
    try? FileManager.default.createDirectory(
      at: URL(filePath: path).deletingLastPathComponent(), withIntermediateDirectories: true)
    try? Data(bytes).write(to: URL(filePath: path), options: .atomic)
  }

  /// FNV-1a of 64 bits: against accidents, for whoever may write here may do everything else too.
  static func sum(_ bytes: [UInt8]) -> UInt64 {
    bytes.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
  }
}
