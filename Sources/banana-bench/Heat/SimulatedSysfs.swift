import FoundationEssentials

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The part of the kernel's sysfs that shows a board's heat, in a folder of its own.
struct SimulatedSysfs {
  /// Sensors of boards have steps, °C.
  static let stepCelsius = 0.5

  let root: String
  private var zone: String { root + "/class/thermal/thermal_zone0" }

  /// Makes an empty tree: a board whose kernel shows no sensor.
  init(in folder: String) throws {
    root = folder + "/sys"
    try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
  }

  /// Adds a sensor with a passive trip point.
  func addZone(celsius: Double) throws {
    try FileManager.default.createDirectory(atPath: zone, withIntermediateDirectories: true)
    try write("cpu-thermal", to: "type")
    try write("passive", to: "trip_point_0_type")
    try write("\(Int(SimulatedBoard.passiveCelsius * 1000))", to: "trip_point_0_temp")
    try show(celsius: celsius)
  }

  /// Lets the sensor show a temperature.
  func show(celsius: Double) throws {
    let shown = (celsius / Self.stepCelsius).rounded(.down) * Self.stepCelsius
    try write("\(Int(shown * 1000))", to: "temp")
  }

  /// Files of sysfs are read whole, so they change whole.
  private func write(_ text: String, to name: String) throws {
    try Data((text + "\n").utf8).write(to: URL(filePath: zone + "/" + name), options: .atomic)
  }
}
