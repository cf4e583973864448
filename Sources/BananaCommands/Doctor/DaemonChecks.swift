import BananaAPI
import BananaSDK
import FoundationEssentials

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Whether the daemon is there, may be talked to, and can draw.
struct DaemonChecks {
  let socketPath: String
  /// Where to look for model packages when the daemon does not answer.
  let modelFolders: ModelFolders

  /// What was found out, and what drawing takes of memory when the daemon told.
  func findings() async -> (findings: [Finding], need: MemoryNeed?) {
    let client = BananaClient(socketPath: socketPath)
    let status: DaemonStatus
    do {
      status = try await client.status()
    } catch {
      return ([unreachable(error), access, packageOnDisk], nil)
    }
    let models = (try? await client.models()) ?? []
    let daemon = Finding.ok(
      "daemon", "bananad \(status.version), pid \(status.pid), answers on \(socketPath)")
    let isSame = status.version == BananaVersion.current
    let old = Finding.warn(
      "daemon", "bananad is \(status.version) and banana is \(BananaVersion.current)",
      mend: "Restart bananad after an upgrade: systemctl restart bananad")
    let need = models.first { $0.id == status.model.id && $0.aliasOf == nil }.map {
      MemoryNeed(
        model: $0.id, weightBytes: $0.weightBytes, peakBytes: $0.peakBytes,
        heldBytes: status.memory.residentBytes ?? 0)
    }
    return (
      [isSame ? daemon : old, access] + [identity(status.identity)].compactMap { $0 }
        + [model(status.model, in: status)] + others(status), need
    )
  }

  /// Nil where the daemon can tell all users apart, or does not say.
  private func identity(_ identity: DaemonStatus.Identity?) -> Finding? {
    let remedy =
      "Run bananad outside of user namespaces (no PrivateUsers=), and without a forwarder between."
    switch identity {
    case .shared:
      return .warn(
        "identity", "bananad cannot tell you from other users: you have no private peels or jobs",
        mend: remedy)
    case .partial:
      return .warn(
        "identity", "bananad runs in a user namespace: users without a uid there are all one",
        mend: remedy)
    case .own, nil: return nil
    }
  }

  private func unreachable(_ error: BananaError) -> Finding {
    switch error {
    case .daemonNotRunning:
      .fail(
        "daemon", "nothing serves on \(socketPath)",
        mend: SocketAccess(path: socketPath).start)
    case .permissionDenied:
      .fail(
        "daemon", "\(socketPath) may not be opened by you", mend: "See the next line.")
    case .unusableSocketPath: .fail("daemon", "\(error)", mend: "Give --socket another path.")
    case .refused, .connectionLost, .unexpectedAnswer, .unreadableFile, .cancelled:
      .fail(
        "daemon", "\(error)", mend: "Look into its log: journalctl -u bananad, or where it runs.")
    }
  }

  private func model(_ model: DaemonStatus.Model, in status: DaemonStatus) -> Finding {
    if model.status == .available {
      let name = model.id ?? "a model"
      switch status.models?.first(where: { $0.id == model.id })?.state {
      case .closed: return .ok("model", "\(name) is there, and opens with the next request")
      case .opening: return .ok("model", "\(name) is being opened")
      case .open, .failed, nil: return .ok("model", "\(name) is open, its files are whole")
      }
    }
    return .fail(
      "model", model.reason ?? "the model is \(model.status.rawValue)",
      mend: "Mend what the line says; bananad tries again with the next request.")
  }

  /// The models that cannot be used, beside the default one.
  private func others(_ status: DaemonStatus) -> [Finding] {
    (status.models ?? []).filter { !$0.isDefault && $0.state == .failed }.map {
      .warn(
        "model", "\($0.id): \($0.reason ?? "it cannot be opened")",
        mend: "Mend what the line says; bananad looks again with the next request for it."
      )
    }
  }

  /// Whether this user may open the socket.
  var access: Finding {
    let socket = SocketAccess(path: socketPath)
    guard socket.isThere else {
      return .warn(
        "access", "there is no \(socketPath) to look at", mend: "Start the daemon first.")
    }
    if socket.isMine { return .ok("access", "you may open the socket (group \(socket.group))") }
    return .fail(
      "access", "the socket is for the group \(socket.group), which you are not in",
      mend: socket.remedy)
  }

  /// Whether the files of a model package are there in their full length.
  var packageOnDisk: Finding {
    let packages = modelFolders.paths.flatMap(ModelFolders.packages)
    guard let package = packages.first else {
      return .fail(
        "model", "there is no model package in \(modelFolders)",
        mend: "Install one, or say where it is: BANANA_MODELS=DIR")
    }
    struct Manifest: Decodable {
      struct File: Decodable { var bytes: Int }
      var files: [String: File]
    }
    guard let json = FileManager.default.contents(atPath: package + "/model.json"),
      let manifest = try? JSONDecoder().decode(Manifest.self, from: json)
    else {
      return .fail(
        "model", "\(package)/model.json is damaged", mend: "Install the model package again.")
    }
    for (name, file) in manifest.files.sorted(by: { $0.key < $1.key }) {
      var facts = stat()
      let bytes = stat("\(package)/\(name)", &facts) == 0 ? Int(facts.st_size) : nil
      if bytes != file.bytes {
        return .fail(
          "model",
          bytes.map { "\(package)/\(name) has \($0) of \(file.bytes) bytes" }
            ?? "\(package)/\(name) is missing", mend: "Install the model package again.")
      }
    }
    return .ok("model", "\(package) has all its files in full length")
  }
}
