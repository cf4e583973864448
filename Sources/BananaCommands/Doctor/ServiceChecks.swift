import FoundationEssentials

/// What systemd says of the daemon's units.
struct ServiceChecks {
  /// The state of a unit, as `systemctl show` tells it.
  struct Unit: Equatable {
    var isInstalled: Bool
    /// "active", "inactive", "failed", …
    var activeState: String
    /// "success", "watchdog", "exit-code", …
    var result: String
  }

  let files: SystemFiles
  /// Asks systemd for a unit's properties; nil when that fails.
  var show: (String) async -> String? = Self.systemctl

  func findings() async -> [Finding] {
    guard files.exists(files.run + "/systemd/system") else {
      return [
        .warn(
          "service", "systemd does not run here",
          mend: "Start bananad by whatever starts services on this machine.")
      ]
    }
    let socket = await show("bananad.socket").map(Self.unit)
    let service = await show("bananad.service").map(Self.unit)
    guard let socket, let service, service.isInstalled else {
      return [
        .warn(
          "service", "systemd knows no bananad.service",
          mend: "Install the package, or run bananad as you like.")
      ]
    }
    return [Self.finding(socket: socket, service: service)]
  }

  static func finding(socket: Unit, service: Unit) -> Finding {
    if service.activeState == "failed" {
      return .fail(
        "service", "bananad.service failed (\(service.result))",
        mend: "journalctl -u bananad says why; then: sudo systemctl restart bananad")
    }
    if service.activeState == "active" { return .ok("service", "bananad.service is active") }
    if socket.activeState == "active" {
      return .ok("service", "bananad.socket listens and starts bananad with the first request")
    }
    return .fail(
      "service", "bananad.socket is \(socket.activeState)",
      mend: "sudo systemctl enable --now bananad.socket")
  }

  /// Reads lines such as `ActiveState=active`.
  static func unit(_ properties: String) -> Unit {
    var values: [String: String] = [:]
    for line in properties.split(separator: "\n") {
      let parts = line.split(separator: "=", maxSplits: 1).map(String.init)
      if parts.count == 2 { values[parts[0]] = parts[1] }
    }
    return Unit(
      isInstalled: values["LoadState"] == "loaded", activeState: values["ActiveState"] ?? "unknown",
      result: values["Result"] ?? "unknown")
  }

  private static func systemctl(_ unit: String) async -> String? {
    let folder = FileManager.default.temporaryDirectory.path
    let output = "\(folder)/banana-doctor-\(UInt64.random(in: 0...UInt64.max))"
    defer { try? FileManager.default.removeItem(atPath: output) }
    let command = ["/usr/bin/systemctl", "show", "-p", "LoadState,ActiveState,Result", unit]
    guard let process = try? ChildProcess.spawn(command, outputPath: output) else { return nil }
    let deadline = ContinuousClock.now + .seconds(5)
    while process.isRunning, .now < deadline { try? await Task.sleep(for: .milliseconds(10)) }
    process.kill()
    return FileManager.default.contents(atPath: output).map { String(decoding: $0, as: UTF8.self) }
  }
}
