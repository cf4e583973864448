import BananaAPI
import BananaTesting
import FoundationEssentials
import Serving
import Testing
import VulkanBackend

@testable import BananaCommands

@Suite(.timeLimit(.minutes(5))) struct DoctorTests {
  /// Files of a board that is well.
  static let board: [String: String?] = [
    "proc/cpuinfo": "processor\t: 0\nFeatures\t: fp asimd asimddp\nprocessor\t: 1\n",
    "proc/meminfo": "MemTotal: 8000000 kB\nMemAvailable:    4000000 kB\n",
    "proc/pressure/memory": "some avg10=0.00\n",
    "sys/class/thermal/thermal_zone0/temp": "41500\n",
    "sys/class/thermal/thermal_zone0/trip_point_0_type": "critical\n",
    "sys/class/thermal/thermal_zone0/trip_point_0_temp": "95000\n",
    "sys/class/thermal/thermal_zone0/trip_point_1_type": "passive\n",
    "sys/class/thermal/thermal_zone0/trip_point_1_temp": "70000\n",
    "run/systemd/system/x": "",
  ]

  private func with(
    _ changes: [String: String?] = [:], _ body: (SystemFiles) async throws -> Void
  ) async throws {
    try await TemporaryFolder.with { folder async throws in
      for (path, text) in Self.board.merging(changes, uniquingKeysWith: { $1 }) {
        guard let text else { continue }
        let file = URL(filePath: folder + "/" + path)
        try FileManager.default.createDirectory(
          at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(text.utf8).write(to: file)
      }
      try await body(
        SystemFiles(proc: folder + "/proc", sys: folder + "/sys", run: folder + "/run"))
    }
  }

  @Test func findsAGoodBoardGood() async throws {
    try await with { files in
      let findings = MachineChecks(files: files).findings(
        MemoryNeed(
          model: "m", weightBytes: 1 << 30, peakBytes: 64 << 20, heldBytes: 88 << 20))
      #expect(findings.map(\.grade) == [.ok, .ok, .ok, .ok])
      #expect(findings[0].fact == "dot product, 2 processors")
      #expect(
        findings[1].fact
          == "3906 MiB free; m takes 1024 MiB of weights and 64 MiB to draw, of which 1000 are to "
          + "come"
      )
      #expect(findings[3].fact == "1 thermal zones, the hottest at 41 °C")
    }
  }

  @Test func findsWhatIsMissing() async throws {
    let changes: [String: String?] = [
      "proc/cpuinfo": "processor : 0\nflags : sse2\n", "proc/pressure/memory": nil,
      "proc/meminfo": "MemAvailable: 1000 kB\n", "sys/class/thermal/thermal_zone0/temp": "71000",
    ]
    try await with(changes) { files in
      let findings = MachineChecks(files: files).findings(nil)
      #expect(findings.map(\.grade) == [.warn, .warn, .warn, .warn])
      #expect(findings.allSatisfy { $0.remedy != nil })
      let need = MemoryNeed(model: "m", weightBytes: 1 << 20, peakBytes: 1 << 30, heldBytes: 0)
      #expect(MachineChecks(files: files).memory(need).grade == .fail)
      var met = need
      met.heldBytes = 2 << 30
      #expect(MachineChecks(files: files).memory(met).fact.contains("has that already"))
      #expect(findings[3].fact.contains("trip point of 70 °C"))
    }
    try await with(["sys/class/thermal/thermal_zone0/temp": nil]) { files in
      #expect(MachineChecks(files: files).heat.fact.contains("no thermal zone"))
    }
  }

  /// Lists what there is, and finds nothing wrong with having none.
  @Test func listsTheDevicesOfVulkan() {
    let none = DeviceChecks { () throws(VulkanUnavailable) in
      throw VulkanUnavailable(reason: "libvulkan.so.1 is missing")
    }.findings()
    #expect(none.map(\.grade) == [.ok])
    #expect(none[0].fact.contains("libvulkan.so.1 is missing"))
    #expect(DeviceChecks { () throws(VulkanUnavailable) in [] }.findings().count == 1)
    let found = DeviceChecks().findings()
    guard let devices = try? VulkanInstance().devices, !devices.isEmpty else {
      #expect(found.count == 1)
      return
    }
    #expect(found.count == devices.count)
    for (finding, device) in zip(found, devices) {
      #expect(finding.grade == .ok && finding.topic == "gpu")
      #expect(finding.fact.hasPrefix("vulkan:\(device.index) \(device.name)"))
    }
  }

  @Test func readsTheStateOfTheUnits() async throws {
    func finding(_ socket: String, _ service: String) async throws -> Finding {
      var found: [Finding] = []
      try await with { files in
        found = await ServiceChecks(files: files) { unit in
          let state = unit == "bananad.socket" ? socket : service
          return state.isEmpty ? "LoadState=not-found\n" : "LoadState=loaded\n\(state)\n"
        }.findings()
      }
      return try #require(found.first)
    }
    #expect(try await finding("ActiveState=active", "ActiveState=active").grade == .ok)
    #expect(try await finding("ActiveState=active", "ActiveState=inactive").grade == .ok)
    let failed = try await finding("ActiveState=active", "ActiveState=failed\nResult=watchdog")
    #expect(failed.grade == .fail && failed.fact.contains("watchdog"))
    #expect(try await finding("ActiveState=inactive", "ActiveState=inactive").grade == .fail)
    #expect(try await finding("", "").grade == .warn)
    try await with(["run/systemd/system/x": nil]) { files in
      let none = await ServiceChecks(files: files) { _ in nil }.findings()
      #expect(none.map(\.grade) == [.warn])
    }
  }

  @Test func findsTheDaemonAndItsModel() async throws {
    try await TestDaemon.serving { daemon async throws in
      let checks = DaemonChecks(
        socketPath: daemon.socketPath, modelFolders: ModelFolders(others: []))
      let (findings, need) = await checks.findings()
      #expect(findings.map(\.topic) == ["daemon", "access", "model"])
      #expect(findings.map(\.grade) == [.ok, .ok, .ok])
      #expect(need?.model == "fake" && (need?.heldBytes ?? 0) > 1 << 20)
    }
    struct Broken: Error, CustomStringConvertible { let description = "model.json is missing" }
    let makeEngine: @Sendable () throws -> any PictureEngine = { throw Broken() }
    try await TestDaemon.serving(makeEngine: makeEngine) { daemon async throws in
      let checks = DaemonChecks(
        socketPath: daemon.socketPath, modelFolders: ModelFolders(others: []))
      #expect(
        await eventually {
          let (findings, _) = await checks.findings()
          return findings[2].grade == .fail && findings[2].fact == "model.json is missing"
        })
    }
  }

  @Test func looksAtTheFilesWhenNoDaemonAnswers() async throws {
    try await TemporaryFolder.with { folder async throws in
      let package = folder + "/models/m"
      try FileManager.default.createDirectory(
        atPath: package, withIntermediateDirectories: true)
      let checks = DaemonChecks(
        socketPath: folder + "/none.sock",
        modelFolders: ModelFolders(others: [folder + "/none", folder + "/models"]))
      #expect(await checks.findings().findings.map(\.grade) == [.fail, .warn, .fail])
      let manifest = #"{"name":"m","files":{"a.bin":{"bytes":3,"sha256":""}}}"#
      try Data(manifest.utf8).write(to: URL(filePath: package + "/model.json"))
      #expect(checks.packageOnDisk.fact.contains("a.bin is missing"))
      try Data([1, 2]).write(to: URL(filePath: package + "/a.bin"))
      #expect(checks.packageOnDisk.fact.contains("2 of 3 bytes"))
      try Data([1, 2, 3]).write(to: URL(filePath: package + "/a.bin"))
      #expect(checks.packageOnDisk.grade == .ok)
      try Data([1]).write(to: URL(filePath: package + "/model.json"))
      #expect(checks.packageOnDisk.fact.contains("damaged"))
    }
  }

  @Test func writesOneLineAndTheRemedy() {
    #expect(
      Finding.fail("memory", "too little", mend: "add some").text == """
        fail  memory     too little
                         → add some
        """)
    #expect(Finding.ok("heat", "cool").text == "ok    heat       cool")
  }
}
