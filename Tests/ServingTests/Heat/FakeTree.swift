import FoundationEssentials

/// A folder of small files in the place of the kernel's.
struct FakeTree: Sendable {
  let root: String

  func write(_ text: String, to path: String) throws {
    let file = root + "/" + path
    let directory = file[..<file.lastIndex(of: "/")!]
    try FileManager.default.createDirectory(
      atPath: String(directory), withIntermediateDirectories: true)
    try text.write(toFile: file, atomically: true, encoding: .utf8)
  }

  /// A thermal zone with trip points.
  func zone(
    _ index: Int, type: String, temp: String, mode: String? = "enabled",
    trips: [(type: String, temp: String)] = []
  ) throws {
    let directory = "class/thermal/thermal_zone\(index)/"
    try write(type + "\n", to: directory + "type")
    try write(temp + "\n", to: directory + "temp")
    if let mode { try write(mode + "\n", to: directory + "mode") }
    for (number, trip) in trips.enumerated() {
      try write(trip.type + "\n", to: directory + "trip_point_\(number)_type")
      try write(trip.temp + "\n", to: directory + "trip_point_\(number)_temp")
    }
  }
}
