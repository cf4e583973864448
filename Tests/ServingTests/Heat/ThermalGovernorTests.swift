import BananaAPI
import BananaTesting
import Logging
import ServiceLifecycle
import Serving
import Synchronization
import Testing

@Suite struct ThermalGovernorTests {
  @Test func limitsTheEngineOfAHotBoardAndTellsSo() async throws {
    try await TemporaryFolder.with { folder in
      let tree = FakeTree(root: folder)
      try tree.zone(
        0, type: "cpu-thermal", temp: "79900", trips: [(type: "passive", temp: "80000")])
      let applied = Mutex<[EngineLimits]>([])
      let governor = ThermalGovernor(
        sysfsRoot: folder, ladder: ThermalLadder(full: EngineLimits(batch: 4, threads: 4, pace: 1)),
        logger: silentLogger
      ) { limits in applied.withLock { $0.append(limits) } }
      #expect(!governor.isLimiting)
      #expect(governor.status.limits == .init(batch: 4, threads: 4, pace: 1))
      try await running(governor) {
        #expect(await eventually { governor.isLimiting })
        let status = governor.status
        #expect(status.isLimited && status.budget < 1)
        #expect(status.zone?.passiveCelsius == 80)
        #expect(applied.withLock { $0.last?.batch } == 1)
        #expect(applied.withLock { $0.first?.batch } == 1)
      }
    }
  }
}
