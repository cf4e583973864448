import Serving
import Testing

@Suite struct ThreadRationTests {
  /// The mean number of threads over pieces of different lengths, and those that were used.
  private func mean(_ threads: Int, _ pace: Double) -> (threads: Double, used: Set<Int>) {
    var ration = ThreadRation()
    let limits = EngineLimits(batch: 1, threads: threads, pace: pace)
    var threadSeconds = 0.0
    var seconds = 0.0
    var used: Set<Int> = []
    for piece in 0..<400 {
      let count = ration.threads(under: limits)
      // Steps and decoders take turns; more threads are faster.
      let length = [0.03, 0.03, 0.011][piece % 3] / Double(count)
      ration.note(seconds: length, on: count, under: limits)
      used.insert(count)
      threadSeconds += Double(count) * length
      seconds += length
    }
    return (threadSeconds / seconds, used)
  }

  @Test(arguments: [(4, 0.9), (4, 0.7), (4, 0.26), (2, 0.75), (2, 0.51), (8, 0.99)])
  func usesWhatIsGrantedInTheMean(_ threads: Int, _ pace: Double) {
    let granted = Double(threads) * pace
    let (mean, used) = mean(threads, pace)
    #expect(abs(mean - granted) < 0.02)
    #expect(used == [Int(granted.rounded(.down)), Int(granted.rounded(.up))])
    #expect(
      ThreadRation.restSeconds(
        after: 1, under: EngineLimits(batch: 1, threads: threads, pace: pace)) == 0)
  }

  @Test(arguments: [(1, 1.0, 1), (2, 0.5, 1), (4, 1, 4), (10, 0.3, 3), (1024, 1, 1024)])
  func wholeThreadsNeverChange(_ threads: Int, _ pace: Double, _ expected: Int) {
    #expect(mean(threads, pace).used == [expected])
  }

  @Test func restsBelowOneThread() {
    let limits = EngineLimits(batch: 1, threads: 2, pace: 0.1)
    #expect(mean(2, 0.1).used == [1])
    #expect(abs(ThreadRation.restSeconds(after: 0.5, under: limits) - 2) < 1e-9)
  }
}
