package import Diffusion

/// The models that peels can be for.
package struct PeelModels: Sendable {
  /// What tells the layers of one model from those of any other, in a name for JSON.
  package typealias Key = String

  /// Names of the models that can be used; of those that are known by now.
  let installed: @Sendable () -> [Key: String]
  /// The models that a peel fits; throws what is wrong with it if it fits none.
  let fits: @Sendable (OpenPeel) async throws -> Set<Key>

  package init(
    installed: @escaping @Sendable () -> [Key: String],
    fits: @escaping @Sendable (OpenPeel) async throws -> Set<Key>
  ) {
    self.installed = installed
    self.fits = fits
  }
}
