/// Reads the kernel's thermal zones, cooling devices and clocks, and the throttling flags of a
/// Raspberry Pi, below a root that tests and simulations choose.
///
/// Nothing in these files is trusted: what is missing, unreadable or absurd is left out.
package struct SysfsThermalSource: Sendable {
  /// Where a processor without trip points is assumed to slow down, °C.
  static let usualPassiveCelsius = 80.0
  /// Temperatures outside of this are a broken sensor's, °C.
  static let plausibleCelsius = -40.0...150.0
  /// Trip points outside of this are not in use, °C.
  static let plausibleTripCelsius = 30.0...130.0
  /// Directories are listed again after so many readings.
  static let readingsPerDiscovery = 60

  private struct Place: Sendable {
    var name: String
    var type: String
    var passiveCelsius: Double
  }

  private let root: String
  private var places: [Place] = []
  private var coolingDevices: [String] = []
  private var readingsUntilDiscovery = 0

  /// - Parameter root: Where sysfs is, without a slash at the end.
  package init(root: String = "/sys") {
    self.root = root
  }

  /// What the sensors say now.
  package mutating func read() -> ThermalReading {
    // A driver may be loaded after the daemon.
    if readingsUntilDiscovery == 0 || places.isEmpty {
      discover()
      readingsUntilDiscovery = Self.readingsPerDiscovery
    }
    readingsUntilDiscovery -= 1
    let flags = firmwareFlags
    return ThermalReading(
      zones: places.compactMap(zone), isKernelThrottling: isCooling || flags.isThrottled,
      isUnderVoltage: flags.isUnderVoltage, clockLimit: clockLimit)
  }

  private var thermal: String { root + "/class/thermal/" }

  private mutating func discover() {
    places = KernelFile.names(in: thermal, prefix: "thermal_zone").compactMap(place)
    coolingDevices = KernelFile.names(in: thermal, prefix: "cooling_device").filter { name in
      let type = KernelFile.text(thermal + name + "/type")?.lowercased() ?? ""
      return ["cpufreq", "processor", "powerclamp", "devfreq"].contains { type.contains($0) }
    }
  }

  /// A zone that says something about the processor: one with trip points, or one of its name.
  private func place(_ name: String) -> Place? {
    let directory = thermal + name
    let type = KernelFile.text(directory + "/type") ?? name
    guard let passive = passiveCelsius(directory) ?? usualPassiveCelsius(type) else { return nil }
    return Place(name: name, type: type, passiveCelsius: passive)
  }

  /// The lowest passive trip point; without one, a distance below the hot or critical one.
  private func passiveCelsius(_ directory: String) -> Double? {
    var lowest: [String: Double] = [:]
    for file in KernelFile.names(in: directory, prefix: "trip_point_") where file.hasSuffix("_type")
    {
      let stem = directory + "/" + file.dropLast("_type".count)
      guard let type = KernelFile.text(directory + "/" + file),
        let celsius = celsius(stem + "_temp"), Self.plausibleTripCelsius.contains(celsius)
      else { continue }
      lowest[type] = min(lowest[type] ?? .infinity, celsius)
    }
    if let passive = lowest["passive"] { return passive }
    return [lowest["hot"].map { $0 - 5 }, lowest["critical"].map { $0 - 15 }].compactMap { $0 }
      .min()
  }

  private func usualPassiveCelsius(_ type: String) -> Double? {
    let type = type.lowercased()
    let processors = ["cpu", "soc", "pkg", "package", "core", "gpu", "cluster", "k10temp"]
    return processors.contains { type.contains($0) } ? Self.usualPassiveCelsius : nil
  }

  private func zone(_ place: Place) -> ThermalReading.Zone? {
    let directory = thermal + place.name
    guard KernelFile.text(directory + "/mode") != "disabled",
      let celsius = celsius(directory + "/temp"), Self.plausibleCelsius.contains(celsius)
    else { return nil }
    return ThermalReading.Zone(
      name: place.name, type: place.type, celsius: celsius, passiveCelsius: place.passiveCelsius)
  }

  private func celsius(_ path: String) -> Double? {
    KernelFile.integer(path).map { Double($0) / 1000 }
  }

  private var isCooling: Bool {
    coolingDevices.contains { name in
      let state = KernelFile.integer(thermal + name + "/cur_state") ?? 0
      return state > 0 && (KernelFile.integer(thermal + name + "/max_state") ?? 0) >= state
    }
  }

  /// The lowest share over the clock domains of the processor.
  private var clockLimit: Double? {
    let directory = root + "/devices/system/cpu/cpufreq/"
    return KernelFile.names(in: directory, prefix: "policy").compactMap { policy -> Double? in
      guard let limit = KernelFile.integer(directory + policy + "/scaling_max_freq"),
        let most = KernelFile.integer(directory + policy + "/cpuinfo_max_freq"),
        limit > 0, most > 0
      else { return nil }
      return min(1, Double(limit) / Double(most))
    }.min()
  }

  /// Bits of the Raspberry Pi's firmware: 0 under-voltage, 2 throttled, 3 soft temperature limit,
  /// all of this moment.
  private var firmwareFlags: (isThrottled: Bool, isUnderVoltage: Bool) {
    let path = root + "/devices/platform/soc/soc:firmware/get_throttled"
    guard var text = KernelFile.text(path) else { return (false, false) }
    if text.hasPrefix("0x") { text.removeFirst(2) }
    guard let flags = UInt32(text, radix: 16) else { return (false, false) }
    return (flags & 0b1100 != 0, flags & 1 != 0)
  }
}
