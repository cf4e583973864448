/// Makes do with a share of the threads' time, piece of work by piece.
///
/// A share that is worth one thread or more is met by whole threads without a rest: some pieces run
/// on one thread more than others, so that the mean is right. Threads that wait for each other, or
/// for the part of the work that only one of them can do, are what costs the most heat a picture.
/// Less than one thread is met by resting after each piece.
package struct ThreadRation: Sendable {
  /// Thread-seconds that were granted and not used; never more than one piece's.
  private var surplus = 0.0

  package init() {}

  /// Threads for the next piece.
  package func threads(under limits: EngineLimits) -> Int {
    let granted = Self.granted(limits)
    return max(1, Int((surplus >= 0 ? granted.rounded(.up) : granted.rounded(.down))))
  }

  /// Takes note of a piece that can use all threads.
  package mutating func note(seconds: Double, on threads: Int, under limits: EngineLimits) {
    surplus += (max(1, Self.granted(limits)) - Double(threads)) * seconds
  }

  /// How long to rest after a piece, seconds.
  package static func restSeconds(after seconds: Double, under limits: EngineLimits) -> Double {
    let granted = granted(limits)
    return granted < 1 ? seconds * (1 - granted) / granted : 0
  }

  /// Threads' worth of time, free of what floating point adds to whole numbers.
  private static func granted(_ limits: EngineLimits) -> Double {
    (Double(limits.threads) * limits.pace * 1e6).rounded() / 1e6
  }
}
