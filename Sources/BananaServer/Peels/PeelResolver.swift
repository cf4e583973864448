import BananaAPI

/// Finds an installed peel that a user may use.
/// - Throws: `APIError` with code `peelNotFound`.
package typealias PeelResolver =
  @Sendable (
    _ name: String, _ uid: UInt32
  ) async throws -> InstalledPeel

/// What a daemon without peels says.
package let noPeels: PeelResolver = { name, _ in
  throw APIError(
    .peelNotFound, "No peel \"\(name.prefix(64))\" is installed. Install it first.", param: "peels")
}
