import BananaTesting
import FoundationEssentials
import Serving
import Synchronization
import Testing

/// Remembers what it gave back.
private final class MemoryFake: GovernedEngine {
  let released = Mutex<[ReleasableMemory]>([])

  var residentBytes: Int { released.withLock { $0.isEmpty ? 64 << 20 : 0 } }

  func release(_ what: ReleasableMemory) async { released.withLock { $0.append(what) } }
}

@Suite struct MemoryTests {
  @Test func parsesPressure() {
    let text = """
      some avg10=1.25 avg60=0.05 avg300=0.00 total=81234
      full avg10=0.00 avg60=0.00 avg300=0.00 total=7
      """
    let pressure = PressureStall(parsing: text)
    #expect(pressure?.percentOfTenSeconds == 1.25)
    #expect(pressure?.totalMicroseconds == 81234)
  }

  @Test(arguments: [
    "", "full avg10=0.00 total=7", "some avg10=x total=7", "some avg10=1.0",
    "some avg10=200 total=1",
    "some avg10=1 total=-4", "some avg10 total",
  ])
  func refusesWhatIsNoPressure(text: String) {
    #expect(PressureStall(parsing: text) == nil)
  }

  /// Roots in one folder: proc and cg.
  private func facts(_ build: (FakeTree) throws -> Void) async throws -> Int? {
    try await TemporaryFolder.with { folder in
      try build(FakeTree(root: folder))
      return MemoryFacts(procRoot: folder + "/proc", cgroupRoot: folder + "/cg").availableBytes
    }
  }

  @Test func machineAloneDecidesWithoutALimit() async throws {
    let bytes = try await facts { tree in
      try tree.write("MemTotal: 10 kB\nMemAvailable:   2048 kB\n", to: "proc/meminfo")
      try tree.write("0::/system.slice/bananad.service\n", to: "proc/self/cgroup")
      try tree.write("max\n", to: "cg/system.slice/bananad.service/memory.max")
      try tree.write("100\n", to: "cg/system.slice/bananad.service/memory.current")
    }
    #expect(bytes == 2048 * 1024)
  }

  @Test func tightestControlGroupDecides() async throws {
    let bytes = try await facts { tree in
      try tree.write("MemAvailable: 1000000 kB\n", to: "proc/meminfo")
      try tree.write("1:name=x:/\n0::/a.slice/b.service\n", to: "proc/self/cgroup")
      try tree.write("900000\n", to: "cg/a.slice/memory.max")
      try tree.write("850000\n", to: "cg/a.slice/memory.current")
      try tree.write(
        "anon 5\ninactive_file 10000\nactive_file 5000\n", to: "cg/a.slice/memory.stat")
      try tree.write("600000\n", to: "cg/a.slice/b.service/memory.max")
      try tree.write("550000\n", to: "cg/a.slice/b.service/memory.high")
      try tree.write("400000\n", to: "cg/a.slice/b.service/memory.current")
    }
    // 900,000 - (850,000 - 15,000) is less than 550,000 - 400,000.
    #expect(bytes == 65_000)
  }

  @Test func fullGroupHasNothingLeftAndGarbageTellsNothing() async throws {
    let full = try await facts { tree in
      try tree.write("MemAvailable: 1000 kB\n", to: "proc/meminfo")
      try tree.write("0::/a\n", to: "proc/self/cgroup")
      try tree.write("100\n", to: "cg/a/memory.max")
      try tree.write("5000\n", to: "cg/a/memory.current")
    }
    #expect(full == 0)
    let garbage = try await facts { tree in
      try tree.write("MemAvailable: lots\n", to: "proc/meminfo")
      try tree.write("0::relative\n", to: "proc/self/cgroup")
    }
    #expect(garbage == nil)
    #expect(try await facts { _ in } == nil)
  }

  @Test func thisMachineTells() {
    #expect(MemoryFacts().availableBytes ?? 0 > 1 << 20)
  }

  private func governor(
    _ activity: EngineActivity, idleUnload: Duration? = nil,
    facts: MemoryFacts = MemoryFacts(procRoot: "/nowhere", cgroupRoot: "/nowhere")
  ) -> MemoryGovernor {
    MemoryGovernor(
      settings: .init(idleUnload: idleUnload, pollInterval: .milliseconds(200)), activity: activity,
      facts: facts, environment: [:],
      logger: silentLogger)
  }

  @Test func pressureTakesIdlePlansAndThenEverything() async {
    let activity = EngineActivity()
    let governor = governor(activity)
    let engine = MemoryFake()
    await governor.relieve()
    governor.govern(engine)
    await governor.relieve()
    #expect(engine.released.withLock { $0 } == [.everything])
    #expect(governor.pressureEvents == 2)
  }

  @Test func firstPressureTakesIdlePlansOnly() async {
    let activity = EngineActivity()
    let governor = governor(activity)
    let engine = MemoryFake()
    governor.govern(engine)
    await governor.relieve()
    #expect(engine.released.withLock { $0 } == [.idlePlans])
    activity.begin()
    await governor.relieve()
    #expect(engine.released.withLock { $0 } == [.idlePlans, .idlePlans])
    activity.end()
    await governor.relieve()
    #expect(engine.released.withLock { $0 } == [.idlePlans, .idlePlans, .everything])
  }

  @Test func idlenessUnloadsOnceForEachIdleTime() async throws {
    let activity = EngineActivity()
    let governor = governor(activity, idleUnload: .milliseconds(50))
    let engine = MemoryFake()
    governor.govern(engine)
    try await running(governor) {
      #expect(await eventually { engine.released.withLock { $0.count } == 1 })
      try await Task.sleep(for: .milliseconds(150))
      #expect(engine.released.withLock { $0 } == [.everything])
      activity.begin()
      try await Task.sleep(for: .milliseconds(120))
      activity.end()
      #expect(await eventually { engine.released.withLock { $0.count } == 2 })
    }
  }

  /// A plain file takes no threshold, so its figures are read.
  @Test func seesPressureByPolling() async throws {
    try await TemporaryFolder.with { folder in
      let tree = FakeTree(root: folder)
      let path = "proc/pressure/memory"
      try tree.write("some avg10=0.00 avg60=0.00 avg300=0.00 total=1000\n", to: path)
      let governor = governor(
        EngineActivity(), facts: MemoryFacts(procRoot: folder + "/proc", cgroupRoot: folder))
      let engine = MemoryFake()
      governor.govern(engine)
      try await running(governor) {
        var total = 1000
        let isSeen = try await eventually {
          total += 400_000
          try tree.write("some avg10=9.00 avg60=0.00 avg300=0.00 total=\(total)\n", to: path)
          try await Task.sleep(for: .milliseconds(200))
          return engine.released.withLock { !$0.isEmpty }
        }
        #expect(isSeen)
      }
    }
  }
}
