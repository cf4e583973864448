package import BananaAPI
import Logging
package import NIOCore
import Weights

extension PeelRegistry {
  /// Takes in a peel's file, checks it whole, and puts it in the place of the owner's peel of that
  /// name, if there is one. Jobs under way keep the peel that they began with.
  ///
  /// However this ends, and if the daemon dies in the middle: either the whole new peel is there,
  /// or what was there before.
  /// - Parameter body: The file; read to its end even when it is refused, within reason.
  package func install<Body: AsyncSequence & Sendable>(
    _ body: Body, as name: String, for owner: PeelOwner
  ) async throws(PeelRegistryError) -> PeelInfo where Body.Element == ByteBuffer {
    guard PeelLimits.isName(name) else { throw .badName(name) }
    await findPayers(with: owner)
    try checkRoom(for: 0, as: name, of: owner)
    let payer = try beginUpload(of: owner)
    defer { endUpload(of: payer) }
    let folder = folder(of: owner)
    try folder.make()
    let part = try PartFile(in: folder.path)
    try await Self.receive(body, into: part)
    let file: PeelFile
    do throws(PeelRegistryError) {
      file = try await Self.read(part.path)
    } catch {
      guard case .invalid(let reason) = error else { throw error }
      throw .invalid(reason: reason.replacing(part.path, with: "The file"))
    }
    try await checkAgainstModel(file)
    // Nothing else happens in this actor from here to the end.
    try checkRoom(for: file.byteCount, as: name, of: owner)
    let record = PeelRecord(file, installedAt: UnixTime.now)
    try folder.install(part, as: name, record, replacing: self.record(of: name, of: owner))
    add(record, as: name, of: owner)
    logger.notice(
      "peel installed",
      metadata: [
        "peel": "\(name)", "owner": "\(owner.folderName)", "bytes": "\(record.bytes)",
        "sha256": "\(record.sha256)",
      ])
    return record.info(
      name: name, scope: owner == .everyone ? .shared : .private, withMetadata: true)
  }

  private func checkRoom(
    for bytes: Int, as name: String, of owner: PeelOwner
  ) throws(PeelRegistryError) {
    let usage = usage(of: owner, without: name)
    if usage.peels >= limits.peels { throw .tooMany(maximumPeels: limits.peels) }
    if usage.bytes + bytes > limits.bytes {
      throw .tooManyBytes(
        usedBytes: usage.bytes, neededBytes: bytes, maximumBytes: limits.bytes)
    }
    if usage.totalBytes + bytes > limits.totalBytes {
      throw .noRoomForAll(
        usedBytes: usage.totalBytes, neededBytes: bytes, maximumBytes: limits.totalBytes)
    }
  }

  @concurrent
  private static func receive<Body: AsyncSequence & Sendable>(
    _ body: Body, into part: PartFile
  ) async throws(PeelRegistryError) where Body.Element == ByteBuffer {
    let limit = PeelLimits.fileBytes
    var receivedBytes = 0
    var failure: PeelRegistryError?
    do {
      for try await chunk in body {
        receivedBytes += chunk.readableBytes
        // A client that sends everything before it listens gets its answer too; but not for ever.
        if receivedBytes > 4 * limit { break }
        if receivedBytes > limit { failure = .tooLarge(maximumBytes: limit) }
        if failure != nil { continue }
        do throws(PeelRegistryError) {
          try await blocking { () throws(PeelRegistryError) in
            try part.append(Array(chunk.readableBytesView))
          }
        } catch {
          failure = error
        }
      }
    } catch {
      throw .uploadBroken
    }
    if let failure { throw failure }
    try await blocking { () throws(PeelRegistryError) in try part.sync() }
  }
}
