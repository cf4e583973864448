import BananaTesting
import FoundationEssentials
import Serving
import Testing

@Suite struct SysfsThermalSourceTests {
  private func read(_ build: (FakeTree) throws -> Void) async throws -> ThermalReading {
    try await TemporaryFolder.with { folder in
      try build(FakeTree(root: folder))
      var source = SysfsThermalSource(root: folder)
      return source.read()
    }
  }

  @Test func readsZonesWithTheirTripPoints() async throws {
    let reading = try await read { tree in
      try tree.zone(
        0, type: "cpu-thermal", temp: "61234",
        trips: [("active", "50000"), ("passive", "85000"), ("passive", "75000"), ("hot", "95000")])
      try tree.zone(1, type: "gpu-thermal", temp: "55000", trips: [("critical", "110000")])
      try tree.zone(2, type: "board", temp: "40000", trips: [("hot", "70000")])
      try tree.zone(10, type: "x86_pkg_temp", temp: "48000", trips: [("passive", "-274000")])
    }
    #expect(
      reading.zones == [
        .init(name: "thermal_zone0", type: "cpu-thermal", celsius: 61.234, passiveCelsius: 75),
        .init(name: "thermal_zone1", type: "gpu-thermal", celsius: 55, passiveCelsius: 95),
        .init(name: "thermal_zone10", type: "x86_pkg_temp", celsius: 48, passiveCelsius: 80),
        .init(name: "thermal_zone2", type: "board", celsius: 40, passiveCelsius: 65),
      ])
    #expect(!reading.isKernelThrottling)
    #expect(reading.clockLimit == nil)
  }

  @Test func leavesOutWhatIsAbsurd() async throws {
    let reading = try await read { tree in
      let trips = [(type: "passive", temp: "80000")]
      try tree.zone(0, type: "cpu", temp: "garbage", trips: trips)
      try tree.zone(1, type: "cpu", temp: "-273000", trips: trips)
      try tree.zone(2, type: "cpu", temp: "9223372036854775807", trips: trips)
      try tree.zone(3, type: "cpu", temp: "99999999999999999999999", trips: trips)
      try tree.zone(4, type: "cpu", temp: "", trips: trips)
      try tree.zone(5, type: "cpu", temp: "50000", mode: "disabled", trips: trips)
      try tree.zone(6, type: "iwlwifi_1", temp: "50000")
      try tree.zone(7, type: "cpu", temp: "-5000", trips: [("passive", "x"), ("hot", "0")])
      try tree.write("cpu", to: "class/thermal/thermal_zone8/type")
      try tree.write("text", to: "class/thermal/cooling_device0")
      try tree.write("\u{0}\u{1}", to: "devices/platform/soc/soc:firmware/get_throttled")
      try tree.write("0", to: "devices/system/cpu/cpufreq/policy0/cpuinfo_max_freq")
      try tree.write("0", to: "devices/system/cpu/cpufreq/policy0/scaling_max_freq")
    }
    #expect(
      reading
        == ThermalReading(zones: [
          .init(name: "thermal_zone7", type: "cpu", celsius: -5, passiveCelsius: 80)
        ]))
  }

  @Test func missingTreeIsNoError() async throws {
    let reading = try await read { _ in }
    #expect(reading == ThermalReading(zones: []))
  }

  @Test(arguments: [
    ("cpufreq-cpu0", "1", "6", true), ("Processor", "3", "10", true),
    ("thermal-devfreq-0", "2", "4", true), ("cpufreq-cpu0", "0", "6", false),
    ("intel_powerclamp", "-1", "50", false), ("pwm-fan", "3", "4", false),
    ("cpufreq-cpu0", "7", "6", false), ("cpufreq-cpu0", "x", "6", false),
  ])
  func seesTheKernelCooling(
    type: String, state: String, most: String, isThrottling: Bool
  ) async throws {
    let reading = try await read { tree in
      try tree.write(type, to: "class/thermal/cooling_device0/type")
      try tree.write(state, to: "class/thermal/cooling_device0/cur_state")
      try tree.write(most, to: "class/thermal/cooling_device0/max_state")
    }
    #expect(reading.isKernelThrottling == isThrottling)
  }

  @Test(arguments: [
    ("0\n", false, false), ("50005\n", true, true), ("0x8\n", true, false),
    ("50000", false, false), ("1", false, true), ("zz", false, false),
  ])
  func readsTheFirmwaresFlags(text: String, throttled: Bool, underVoltage: Bool) async throws {
    let reading = try await read { tree in
      try tree.write(text, to: "devices/platform/soc/soc:firmware/get_throttled")
    }
    #expect(reading.isKernelThrottling == throttled)
    #expect(reading.isUnderVoltage == underVoltage)
  }

  @Test func takesTheLowestClockLimit() async throws {
    let reading = try await read { tree in
      for (policy, limit) in [("policy0", "1500000"), ("policy4", "1200000")] {
        let directory = "devices/system/cpu/cpufreq/\(policy)/"
        try tree.write(limit, to: directory + "scaling_max_freq")
        try tree.write("2400000", to: directory + "cpuinfo_max_freq")
      }
    }
    #expect(reading.clockLimit == 0.5)
  }
}
