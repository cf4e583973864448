package import BananaAPI
import Diffusion
import Logging
import Models
import Synchronization
import Weights

extension PeelRegistry {
  /// Takes in a peel's file, checks it whole, and puts it in the place of the owner's peel of that
  /// name, if there is one. Jobs under way keep the peel that they began with.
  ///
  /// However this ends, and if the daemon dies in the middle: either the whole new peel is there,
  /// or what was there before.
  /// - Parameters:
  ///   - body: The file in pieces; read to its end even when it is refused, within reason.
  ///   - expectedBytes: How long it is, if its sender has said so: what has no room is refused
  ///     before it is received.
  ///   - recipe: The recipe that it is drawn with, `none` for the model's; nil is what its names
  ///     tell.
  package func install<Body: AsyncSequence & Sendable>(
    _ body: Body, expectedBytes: Int? = nil, as name: String, for owner: PeelOwner,
    recipe: String? = nil
  ) async throws(PeelRegistryError) -> PeelInfo where Body.Element == [UInt8] {
    guard PeelLimits.isName(name) else { throw .badName(name) }
    if let recipe, recipe != PeelRecord.noRecipe, Distillation(named: recipe) == nil {
      throw .unknownRecipe(recipe)
    }
    let limits = limits
    if let expectedBytes, expectedBytes > limits.fileBytes {
      throw .tooLarge(maximumBytes: limits.fileBytes)
    }
    await ready(for: owner)
    await measured()
    let pot = await pot(of: owner)
    let folder = folder(of: owner)
    let upload = try PeelUpload(as: name, of: owner, in: pot, registry: self)
    defer { upload.end() }
    try upload.checkRoom(for: expectedBytes ?? 0)
    let part = try await work.run(for: pot) { () throws(PeelRegistryError) in
      try folder.makePart()
    }
    do throws(PeelRegistryError) {
      try await receive(body, into: part, upload, maximumBytes: limits.fileBytes)
      return try await install(part, upload, as: name, for: owner, recipe)
    } catch {
      // Before the answer, so that what it says holds.
      try? await work.run(for: pot) { () throws(PeelRegistryError) in part.discard() }
      throw error
    }
  }

  /// Checks a file that has arrived, and puts it in its place.
  private func install(
    _ part: PartFile, _ upload: PeelUpload, as name: String, for owner: PeelOwner,
    _ recipe: String?
  ) async throws(PeelRegistryError) -> PeelInfo {
    let folder = folder(of: owner)
    let pot = upload.pot
    let lease = try lease(upload.receivedBytes, for: pot)
    let file = try await work.run(for: pot) { () throws(PeelRegistryError) in
      try part.sync()
      do throws(PeelRegistryError) { return try Self.read(part.path) } catch {
        guard case .invalid(let reason) = error else { throw error }
        throw .invalid(reason: reason.replacing(part.path, with: "The file"))
      }
    }
    let peel = OpenPeel(file)
    let fits = try await work.inTurn(of: pot) { (turn) async throws(PeelRegistryError) in
      try await checkAgainstModels(peel, turn)
    }
    let installed = models.installed()
    let record = {
      var record = PeelRecord(file, installedAt: UnixTime.now)
      let warnings = file.warnings + peel.omissions
      record.warnings = warnings.isEmpty ? nil : warnings
      record.recipe = recipe
      record.recognizeDistillation(of: name)
      record.fits = Dictionary(
        uniqueKeysWithValues: installed.keys.map { ($0, fits.contains($0)) })
      return record
    }()
    try await work.inTurn(of: pot) { (turn) async throws(PeelRegistryError) in
      let entry = PeelEntry(
        name: name, path: folder.peelPath(name), owner: owner, pot: pot, record: record,
        sidecarBytes: PeelFolder.sidecarBytes(of: record))
      // What it has in the pot as an upload is given back for what it has as a peel.
      upload.endReceiving()
      try upload.checkRoom(for: entry.diskBytes)
      let old = index.withLock { $0.owned(name, by: owner)?.record }
      try await turn.run { () throws(PeelRegistryError) in
        try folder.install(part, as: name, record, replacing: old)
      }
      index.withLock { $0.add(entry) }
    }
    withExtendedLifetime(lease) {}
    logger.notice(
      "peel installed",
      metadata: [
        "peel": "\(name)", "owner": "\(owner.folderName)", "bytes": "\(record.bytes)",
        "sha256": "\(record.sha256)",
      ])
    var info = record.info(
      name: name, scope: owner == .everyone ? .shared : .private, withMetadata: true)
    info.models = fits.compactMap { installed[$0] }.sorted()
    return info
  }

  /// Bytes that are written at a time: each piece of work waits for a processor that has nothing
  /// better to do. Less than what the daemon counts of an upload.
  private static let writtenBytes = 512 << 10

  private func receive<Body: AsyncSequence & Sendable>(
    _ body: Body, into part: PartFile, _ upload: PeelUpload, maximumBytes: Int
  ) async throws(PeelRegistryError) where Body.Element == [UInt8] {
    var receivedBytes = 0
    var unwritten: [UInt8] = []
    var failure: PeelRegistryError?
    do {
      for try await chunk in body {
        receivedBytes += chunk.count
        // A client that sends everything before it listens gets its answer too; but not for ever.
        if receivedBytes > maximumBytes + (64 << 20) { break }
        if receivedBytes > maximumBytes { failure = .tooLarge(maximumBytes: maximumBytes) }
        if failure != nil { continue }
        do throws(PeelRegistryError) {
          try upload.receive(chunk.count)
          unwritten += chunk
          if unwritten.count < Self.writtenBytes { continue }
          try await write(unwritten, to: part, for: upload.pot)
          unwritten = []
        } catch {
          failure = error
        }
      }
    } catch {
      throw .uploadBroken
    }
    if let failure { throw failure }
    try await write(unwritten, to: part, for: upload.pot)
  }

  private func write(
    _ bytes: [UInt8], to part: PartFile, for pot: PeelPot
  ) async throws(PeelRegistryError) {
    try await work.run(for: pot) { () throws(PeelRegistryError) in
      try part.append(bytes)
    }
  }
}

/// A file that is being received, and its share of the room.
private final class PeelUpload: Sendable {
  let pot: PeelPot
  private let name: String
  private let owner: PeelOwner
  private let registry: PeelRegistry
  private let received = Mutex(0)

  /// - Throws: `PeelRegistryError.tooManyUploads`.
  init(
    as name: String, of owner: PeelOwner, in pot: PeelPot, registry: PeelRegistry
  ) throws(PeelRegistryError) {
    self.name = name
    self.owner = owner
    self.pot = pot
    self.registry = registry
    try registry.index.withLock { index throws(PeelRegistryError) in
      try index.beginUpload(in: pot)
    }
  }

  var receivedBytes: Int { received.withLock { $0 } }

  func checkRoom(for bytes: Int) throws(PeelRegistryError) {
    try registry.index.withLock { index throws(PeelRegistryError) in
      try index.checkRoom(for: bytes, in: pot, replacing: index.owned(name, by: owner))
    }
  }

  func receive(_ bytes: Int) throws(PeelRegistryError) {
    try registry.index.withLock { index throws(PeelRegistryError) in
      try index.receive(bytes, in: pot, replacing: index.owned(name, by: owner))
    }
    received.withLock { $0 += bytes }
  }

  func endReceiving() {
    let bytes = received.withLock { received in
      defer { received = 0 }
      return received
    }
    registry.index.withLock { $0.forgetReceived(bytes, in: pot) }
  }

  func end() {
    endReceiving()
    registry.index.withLock { $0.endUpload(in: pot) }
  }
}
