/// What the processor, the memory and the thermal zones are fit for.
struct MachineChecks {
  let files: SystemFiles

  func findings(_ need: MemoryNeed?) -> [Finding] {
    [processor, memory(need), pressure, heat]
  }

  /// The fastest instructions that there is a kernel for, best first, as /proc/cpuinfo names them.
  private static let instructions: [(flag: String, name: String)] = [
    ("avx512_vnni", "AVX-512 VNNI"), ("avx_vnni", "AVX-VNNI"), ("avx2", "AVX2"),
    ("i8mm", "i8mm"), ("asimddp", "dot product"), ("asimd", "NEON"),
  ]

  var processor: Finding {
    let lines = (files.text(files.proc + "/cpuinfo") ?? "").split(separator: "\n")
    let flags =
      lines.first { $0.hasPrefix("flags") || $0.hasPrefix("Features") }?
      .split(separator: ":").last?.split(separator: " ") ?? []
    let count = lines.count { $0.hasPrefix("processor") }
    guard let best = Self.instructions.first(where: { flags.contains(Substring($0.flag)) }) else {
      return .warn(
        "processor", "no vector instructions that Banana has kernels for",
        mend: "Pictures take many times longer: use an x86-64 with AVX2 or a 64-bit ARM.")
    }
    return .ok("processor", "\(best.name), \(count) processors")
  }

  /// - Parameter need: What drawing takes, when the daemon says.
  func memory(_ need: MemoryNeed?) -> Finding {
    let lines = (files.text(files.proc + "/meminfo") ?? "").split(separator: "\n")
    guard
      let kibibytes = lines.first(where: { $0.hasPrefix("MemAvailable:") })
        .flatMap({ Int($0.drop { !$0.isNumber }.prefix { $0.isNumber }) })
    else {
      return .warn(
        "memory", "\(files.proc)/meminfo does not say how much is free",
        mend: "Mount /proc: bananad admits jobs by it.")
    }
    let free = kibibytes << 10
    let remedy = "Stop other programs, or add swap (zram on a board with an SD card)."
    guard let need else {
      let fact = "\(free >> 20) MiB free; bananad does not say what it needs"
      return free >= 512 << 20 ? .ok("memory", fact) : .warn("memory", fact, mend: remedy)
    }
    let fact = "\(free >> 20) MiB free; \(need.text)"
    return free >= need.missingBytes ? .ok("memory", fact) : .fail("memory", fact, mend: remedy)
  }

  var pressure: Finding {
    if files.exists(files.proc + "/pressure/memory") {
      return .ok("pressure", "the kernel tells when memory gets short")
    }
    return .warn(
      "pressure", "the kernel does not tell when memory gets short",
      mend: "Boot with psi=1, so that bananad can give memory back in time.")
  }

  var heat: Finding {
    let root = files.sys + "/class/thermal"
    let zones = files.names(in: root).filter { $0.hasPrefix("thermal_zone") }
    let readings = zones.compactMap { zone -> (celsius: Double, trip: Double?)? in
      guard let milli = files.text("\(root)/\(zone)/temp").flatMap({ Double($0) }) else {
        return nil
      }
      return (milli / 1000, passiveTrip("\(root)/\(zone)"))
    }
    guard let hottest = readings.max(by: { $0.celsius < $1.celsius }) else {
      return .warn(
        "heat", "no thermal zone can be read in \(root)",
        mend: "A virtual machine has none. On a board, load its thermal driver: without it bananad "
          + "cannot slow down before the kernel does.")
    }
    let fact = "\(readings.count) thermal zones, the hottest at \(Int(hottest.celsius)) °C"
    let isOver = { (zone: (celsius: Double, trip: Double?)) in
      zone.trip.map { $0 <= zone.celsius } ?? false
    }
    if let over = readings.first(where: isOver) {
      return .warn(
        "heat", "\(fact); one is over its trip point of \(Int(over.trip ?? 0)) °C",
        mend: "The kernel slows the board down: give it a heat sink, a fan or more air.")
    }
    return .ok("heat", fact)
  }

  /// Where the kernel begins to slow the zone down, in degrees Celsius.
  private func passiveTrip(_ zone: String) -> Double? {
    files.names(in: zone).filter { $0.hasPrefix("trip_point_") && $0.hasSuffix("_type") }
      .filter { files.text("\(zone)/\($0)") == "passive" }
      .compactMap { files.text("\(zone)/\($0.dropLast("type".count))temp").flatMap { Double($0) } }
      .min().map { $0 / 1000 }
  }
}
