/// A line of the kernel's pressure stall information, such as
/// `some avg10=0.12 avg60=0.05 avg300=0.00 total=81234`.
package struct PressureStall: Sendable, Equatable {
  /// Share of the last ten seconds in which some task waited for memory, percent.
  package var percentOfTenSeconds: Double
  /// Microseconds for which some task has waited since the machine started.
  package var totalMicroseconds: Int

  /// Parses the `some` line of a pressure file; nil where there is none.
  package init?(parsing text: String) {
    guard let line = text.split(separator: "\n").first(where: { $0.hasPrefix("some ") }) else {
      return nil
    }
    var fields: [Substring: Substring] = [:]
    for field in line.split(separator: " ").dropFirst() {
      let parts = field.split(separator: "=", maxSplits: 1)
      if parts.count == 2 { fields[parts[0]] = parts[1] }
    }
    guard let percent = fields["avg10"].flatMap({ Double($0) }), (0...100).contains(percent),
      let total = fields["total"].flatMap({ Int($0) }), total >= 0
    else { return nil }
    percentOfTenSeconds = percent
    totalMicroseconds = total
  }
}
