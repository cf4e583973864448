import BananaAPI
import Synchronization

/// What is installed, and who has how much of the room: a value that never touches the disk.
struct PeelIndex {
  /// What one pot has on the disk.
  private struct Usage {
    var peels = 0
    var bytes = 0
    var uploads = 0
    /// Of files that are being received.
    var uploadedBytes = 0

    var isNothing: Bool { peels == 0 && bytes == 0 && uploads == 0 && uploadedBytes == 0 }
  }

  var limits: PeelRegistry.Limits
  private(set) var shipped: [String: PeelEntry] = [:]
  private var owned: [PeelOwner: [String: PeelEntry]] = [:]
  private var usages: [PeelPot: Usage] = [:]
  /// What lies in folders that were not read yet, and whose folders were.
  private var unread: [PeelOwner: (use: PeelFolder.Use, pot: PeelPot)] = [:]
  private var read: Set<PeelOwner> = []
  /// Of all peels that were installed, those that are being received included.
  private(set) var totalBytes = 0
  /// Those with an open peel that is kept, the latest last.
  private(set) var recent: [PeelEntry] = []

  init(limits: PeelRegistry.Limits) {
    self.limits = limits
  }

  /// The peels that `viewer` can draw with: its own hide those for all, and those the shipped ones.
  func visible(to viewer: PeelOwner) -> [String: PeelEntry] {
    var all = shipped
    all.merge(owned[.everyone] ?? [:]) { $1 }
    all.merge(owned[viewer] ?? [:]) { $1 }
    return all
  }

  func visible(_ name: String, to viewer: PeelOwner) -> PeelEntry? {
    owned[viewer]?[name] ?? owned[.everyone]?[name] ?? shipped[name]
  }

  func owned(_ name: String, by owner: PeelOwner) -> PeelEntry? { owned[owner]?[name] }

  /// Makes `entry` the peel that its owner means by its name.
  mutating func add(_ entry: PeelEntry) {
    guard let owner = entry.owner else {
      shipped[entry.name] = entry
      return
    }
    if let old = owned[owner, default: [:]].updateValue(entry, forKey: entry.name) { discount(old) }
    usages[entry.pot, default: Usage()].peels += 1
    usages[entry.pot]?.bytes += entry.diskBytes
    totalBytes += entry.diskBytes
  }

  /// Forgets `entry`, if it is not replaced by now.
  mutating func remove(_ entry: PeelEntry) {
    guard let owner = entry.owner, owned[owner]?[entry.name] === entry else { return }
    owned[owner]?[entry.name] = nil
    if owned[owner]?.isEmpty == true { owned[owner] = nil }
    discount(entry)
  }

  private mutating func discount(_ entry: PeelEntry) {
    usages[entry.pot]?.peels -= 1
    usages[entry.pot]?.bytes -= entry.diskBytes
    totalBytes -= entry.diskBytes
    tidy(entry.pot)
    forget(entry)
  }

  private mutating func tidy(_ pot: PeelPot) {
    if usages[pot]?.isNothing == true { usages[pot] = nil }
  }
}

// Room.
extension PeelIndex {
  /// - Throws: `PeelRegistryError` if there is no room for `bytes` more in the pot.
  /// - Parameter old: What will be gone by then.
  func checkRoom(
    for bytes: Int, in pot: PeelPot, replacing old: PeelEntry?
  ) throws(PeelRegistryError) {
    let usage = usages[pot] ?? Usage()
    let (oldPeels, oldBytes) = old.map { $0.pot == pot ? (1, $0.diskBytes) : (0, 0) } ?? (0, 0)
    if usage.peels - oldPeels >= limits.peels { throw .tooMany(maximumPeels: limits.peels) }
    let usedBytes = usage.bytes - oldBytes + usage.uploadedBytes
    if bytes > limits.bytes - usedBytes {
      throw .tooManyBytes(usedBytes: usedBytes, neededBytes: bytes, maximumBytes: limits.bytes)
    }
    let usedByAll = totalBytes - oldBytes
    if bytes > limits.totalBytes - usedByAll {
      throw .noRoomForAll(
        usedBytes: usedByAll, neededBytes: bytes, maximumBytes: limits.totalBytes)
    }
  }

  /// - Throws: `PeelRegistryError.tooManyUploads`.
  mutating func beginUpload(in pot: PeelPot) throws(PeelRegistryError) {
    guard usages[pot]?.uploads ?? 0 < limits.uploads else {
      throw .tooManyUploads(maximumUploads: limits.uploads)
    }
    usages[pot, default: Usage()].uploads += 1
  }

  /// Counts bytes that were received.
  mutating func receive(
    _ bytes: Int, in pot: PeelPot, replacing old: PeelEntry?
  ) throws(PeelRegistryError) {
    try checkRoom(for: bytes, in: pot, replacing: old)
    usages[pot, default: Usage()].uploadedBytes += bytes
    totalBytes += bytes
  }

  /// Counts received bytes no more.
  mutating func forgetReceived(_ bytes: Int, in pot: PeelPot) {
    usages[pot]?.uploadedBytes -= bytes
    totalBytes -= bytes
  }

  mutating func endUpload(in pot: PeelPot) {
    usages[pot]?.uploads -= 1
    tidy(pot)
  }
}

// What is on the disk before it is known.
extension PeelIndex {
  /// Counts what lies in a folder until it is read.
  mutating func count(unread use: PeelFolder.Use, of owner: PeelOwner, in pot: PeelPot) {
    guard !read.contains(owner), unread[owner] == nil else { return }
    unread[owner] = (use, pot)
    usages[pot, default: Usage()].peels += use.peels
    usages[pot]?.bytes += use.bytes
    totalBytes += use.bytes
  }

  /// Counts it no more: the folder is read.
  mutating func endUnread(of owner: PeelOwner) {
    read.insert(owner)
    guard let (use, pot) = unread.removeValue(forKey: owner) else { return }
    usages[pot]?.peels -= use.peels
    usages[pot]?.bytes -= use.bytes
    totalBytes -= use.bytes
    tidy(pot)
  }
}

// What is kept open.
extension PeelIndex {
  /// Bytes of the files whose peels are kept open between jobs.
  private static let keptBytes = PeelLimits.fileBytes

  /// Keeps a peel open that was just used. When that is too much together, whoever keeps most lets
  /// go of what it used longest ago: nobody's peels push out those of others who keep less.
  mutating func keep(_ peel: InstalledPeel, of entry: PeelEntry) {
    recent.removeAll { $0 === entry }
    recent.append(entry)
    entry.opened.withLock { $0.kept = peel }
    while recent.reduce(0, { $0 + $1.record.bytes }) > Self.keptBytes {
      forget(longestUnused(of: largestPot(of: recent), among: recent)!)
    }
  }

  /// Bytes of the peels that are kept and that nobody draws with, by pot.
  var idleBytes: [PeelPot: Int] {
    recent.filter(\.isIdle).reduce(into: [:]) { $0[$1.pot, default: 0] += $1.record.bytes }
  }

  /// Lets go of one of the peels that nobody draws with: of the pot's own the one that was used
  /// longest ago; where it has none, of whoever keeps most.
  /// - Parameter any: Whether others' are meant too.
  /// - Returns: Whether there was one.
  mutating func letGo(for pot: PeelPot, ofAny any: Bool) -> Bool {
    let idle = recent.filter { entry in
      if case .account = entry.pot { entry.isIdle } else { false }
    }
    let entry =
      longestUnused(of: pot, among: idle)
      ?? (any ? longestUnused(of: largestPot(of: idle), among: idle) : nil)
    guard let entry else { return false }
    forget(entry)
    return true
  }

  private func longestUnused(of pot: PeelPot?, among entries: [PeelEntry]) -> PeelEntry? {
    entries.first { $0.pot == pot }
  }

  private func largestPot(of entries: [PeelEntry]) -> PeelPot? {
    entries.reduce(into: [PeelPot: Int]()) { $0[$1.pot, default: 0] += $1.record.bytes }
      .max { $0.value < $1.value }?.key
  }

  private mutating func forget(_ entry: PeelEntry) {
    recent.removeAll { $0 === entry }
    entry.opened.withLock { $0.kept = nil }
  }
}
