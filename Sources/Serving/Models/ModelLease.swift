/// An engine on loan: while it lives, its model stays open.
package final class ModelLease: Sendable {
  package let engine: any PictureEngine
  /// Bytes of mapped files that drawing reads: the kernel counts their pages as free.
  package let mappedBytes: Int
  /// Gives back what other models hold; false when that is nothing.
  let giveRoom: @Sendable () async -> Bool
  private let end: @Sendable () -> Void

  /// - Parameter end: Called when the last holder lets go.
  package init(
    _ engine: any PictureEngine, mappedBytes: Int = 0,
    giveRoom: @escaping @Sendable () async -> Bool = { false },
    end: @escaping @Sendable () -> Void = {}
  ) {
    self.engine = engine
    self.mappedBytes = mappedBytes
    self.giveRoom = giveRoom
    self.end = end
  }

  deinit { end() }
}
