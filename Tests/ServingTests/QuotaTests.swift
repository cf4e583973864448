import BananaAPI
import BananaTesting
import Serving
import Testing

@Suite struct QuotaTests {
  private let start = ContinuousClock.now
  private let free = QuotaBook.Holding(
    waitingJobs: 0, unfinishedJobs: 0, queueCapacity: 10, secondsUntilRoom: 3)

  @Test func countsPixelsByTheDay() throws {
    var book = QuotaBook()
    let quotas = Quotas(requestsPerMinute: 0, concurrentJobs: 0, queueShare: 0, pixelsPerDay: 100)
    try book.charge(.user(1), pixels: 100, holding: free, quotas, now: start)
    let refusal = #expect(throws: QuotaRefusal.self) {
      try book.charge(.user(1), pixels: 1, holding: free, quotas, now: start + .seconds(3600))
    }
    #expect(refusal?.quota == .pixelsPerDay(100))
    #expect(refusal?.retryAfterSeconds == 82_800)
    // What was not drawn does not count, and a day later nothing does.
    book.refund(.user(1), pixels: 60)
    try book.charge(.user(1), pixels: 60, holding: free, quotas, now: start + .seconds(3600))
    try book.charge(.user(1), pixels: 100, holding: free, quotas, now: start + .seconds(86_400))
  }

  @Test func limitsWhatOneUserHolds() throws {
    var book = QuotaBook()
    var holding = free
    holding.waitingJobs = 5
    let share = Quotas(requestsPerMinute: 0, concurrentJobs: 0, queueShare: 0.5, pixelsPerDay: 0)
    #expect(
      throws: QuotaRefusal(quota: .queueShare(5), account: .user(1), retryAfterSeconds: 3)
    ) { try book.charge(.user(1), pixels: 1, holding: holding, share, now: start) }
    holding.unfinishedJobs = 7
    let concurrency = Quotas(
      requestsPerMinute: 0, concurrentJobs: 7, queueShare: 0, pixelsPerDay: 0)
    #expect(
      throws: QuotaRefusal(quota: .concurrentJobs(7), account: .user(1), retryAfterSeconds: 3)
    ) { try book.charge(.user(1), pixels: 1, holding: holding, concurrency, now: start) }
    try book.charge(.user(1), pixels: .max / 4, holding: holding, .off, now: start)
  }

  @Test func saysWhenItEnds() {
    let error = APIError(
      JobError.quotaExceeded(
        QuotaRefusal(quota: .pixelsPerDay(9), account: .user(1000), retryAfterSeconds: 3600)))
    #expect(error.code == .quotaExceeded)
    #expect(error.retryAfterSeconds == 3600)
    #expect(error.message.contains("User 1000 would draw more than its 9 pixels a day."))
    #expect(error.message.contains("3600 s, at 20"))
  }
}
