package import Diffusion

/// The models that peels can be for.
package struct PeelModels: Sendable {
  /// What tells the layers of one model from those of any other, in a name for JSON.
  package typealias Key = String
  /// The models that a peel fits; takes its time, and throws what is wrong with the peel if it fits
  /// none.
  package typealias Check = @Sendable (OpenPeel) throws -> Set<Key>

  /// Names of the models that can be used; of those that are known by now.
  let installed: @Sendable () -> [Key: String]
  /// Makes what compares peels with the models that there are now.
  let check: @Sendable () async -> Check

  package init(
    installed: @escaping @Sendable () -> [Key: String],
    check: @escaping @Sendable () async -> Check
  ) {
    self.installed = installed
    self.check = check
  }
}
