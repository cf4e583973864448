public import BananaAPI
import FoundationEssentials
import NIOCore
import NIOHTTP1

extension BananaClient {
  /// The peels that this user can draw with.
  public func peels() async throws(BananaError) -> [PeelInfo] {
    let list: PeelList = try await call(.GET, Route.peels)
    return list.data
  }

  /// One peel, with what its file says of itself.
  public func peel(_ name: String) async throws(BananaError) -> PeelInfo {
    try await call(.GET, Route.peel(Self.percentEncoded(name)))
  }

  /// Installs a peel for this user, or through the admin socket for all; it replaces one of the
  /// same name, and the next job can draw with it.
  /// - Parameters:
  ///   - path: A `.safetensors` file with a LoRA in PEFT, diffusers or kohya form, or PEFT's folder
  ///     with `adapter_model.safetensors` and `adapter_config.json`.
  ///   - name: What requests will call it: 1 to 64 of `a-z`, `0-9`, `.`, `_` and `-`.
  ///   - recipe: How it is drawn with: `lcm`, `tcd`, `hyper-sd-8` and the like, `none` for the
  ///     model's own recipe; nil is what its names tell.
  @discardableResult
  public func installPeel(
    from path: String, named name: String, recipe: String? = nil
  ) async throws(BananaError) -> PeelInfo {
    let file = try PeelFiles.contents(of: path)
    let body = HTTPBody(contentType: "application/octet-stream", bytes: ByteBuffer(bytes: file))
    let choice = recipe.map { "&recipe=\(Self.percentEncoded($0))" } ?? ""
    return try await call(
      .POST, "\(Route.peels)?name=\(Self.percentEncoded(name))\(choice)", body: body)
  }

  /// Removes a peel of this user, or through the admin socket one for all.
  /// - Parameters:
  ///   - name: The peel's.
  ///   - timeoutSeconds: How long to wait for jobs that draw with it, 0...300; they end
  ///     undisturbed in any case.
  @discardableResult
  public func removePeel(
    _ name: String, timeoutSeconds: Int = 30
  ) async throws(BananaError) -> PeelRemoval {
    try await call(
      .DELETE, "\(Route.peel(Self.percentEncoded(name)))?timeout_seconds=\(timeoutSeconds)")
  }

  static func reason(_ error: any Error) -> String {
    switch (error as? CocoaError)?.code {
    case .fileReadNoSuchFile, .fileNoSuchFile: "there is no such file"
    case .fileReadNoPermission: "no permission"
    default: "\(error)"
    }
  }
}
