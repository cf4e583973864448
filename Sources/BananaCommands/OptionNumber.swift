import ArgumentParser

/// Numbers among options: read whole, in a range, or refused by that range.
enum OptionNumber {
  static func integer<Number: FixedWidthInteger & Sendable>(
    _ text: String, in range: ClosedRange<Number>
  ) throws -> Number {
    guard let number = Number(text), range.contains(number) else {
      throw ValidationError(
        "It must be a whole number between \(range.lowerBound) and \(range.upperBound).")
    }
    return number
  }

  /// NaN is in no range, and neither is what is too large for a number.
  static func real(_ text: String, in range: ClosedRange<Double>) throws -> Double {
    guard let number = Double(text), range.contains(number) else {
      throw ValidationError(
        "It must be a number between \(shown(range.lowerBound)) and \(shown(range.upperBound)).")
    }
    return number
  }

  private static func shown(_ number: Double) -> String {
    number == number.rounded() ? "\(Int(number))" : "\(number)"
  }
}
