/// How much one user may ask for. Zero switches a quota off.
package struct Quotas: Sendable, Equatable {
  package var requestsPerMinute: Int
  /// Jobs that are not done yet.
  package var concurrentJobs: Int
  /// The share of the places in the queue, 0...1.
  package var queueShare: Double
  package var pixelsPerDay: Int

  package init(
    requestsPerMinute: Int = 600, concurrentJobs: Int = 64, queueShare: Double = 0.5,
    pixelsPerDay: Int = 4_000_000_000
  ) {
    self.requestsPerMinute = requestsPerMinute
    self.concurrentJobs = concurrentJobs
    self.queueShare = queueShare
    self.pixelsPerDay = pixelsPerDay
  }

  /// No limits.
  package static let off = Quotas(
    requestsPerMinute: 0, concurrentJobs: 0, queueShare: 0, pixelsPerDay: 0)
}

/// Which quota a user has used up, and when it ends.
package struct QuotaRefusal: Error, Sendable, Equatable {
  package enum Quota: Sendable, Equatable {
    case requestsPerMinute(Int)
    case concurrentJobs(Int)
    /// Places in the queue.
    case queueShare(Int)
    case pixelsPerDay(Int)
  }

  package var quota: Quota
  package var uid: UInt32
  package var retryAfterSeconds: Int

  package init(quota: Quota, uid: UInt32, retryAfterSeconds: Int) {
    self.quota = quota
    self.uid = uid
    self.retryAfterSeconds = retryAfterSeconds
  }
}

/// What users have used of their quotas.
package struct QuotaBook {
  /// What a user has at the moment beside what is written here.
  package struct Holding {
    package var waitingJobs: Int
    package var unfinishedJobs: Int
    /// Places in the whole queue.
    package var queueCapacity: Int
    /// When a job may be done, as a guess.
    package var secondsUntilRoom: Int

    package init(
      waitingJobs: Int, unfinishedJobs: Int, queueCapacity: Int, secondsUntilRoom: Int
    ) {
      self.waitingJobs = waitingJobs
      self.unfinishedJobs = unfinishedJobs
      self.queueCapacity = queueCapacity
      self.secondsUntilRoom = secondsUntilRoom
    }
  }

  private struct Account {
    /// A bucket of requests that fills up within a minute.
    var requests: Double
    var filled: ContinuousClock.Instant
    var pixels = 0
    /// The day begins with the first picture.
    var dayBegan: ContinuousClock.Instant
  }

  private static let day = Duration.seconds(86_400)
  private var accounts: [UInt32: Account] = [:]

  package init() {}

  /// Charges a user for a request, unless one of the quotas is used up.
  package mutating func charge(
    _ uid: UInt32, pixels: Int, holding: Holding, _ quotas: Quotas, now: ContinuousClock.Instant
  ) throws(QuotaRefusal) {
    func refuse(_ quota: QuotaRefusal.Quota, _ seconds: Double) throws(QuotaRefusal) {
      throw QuotaRefusal(
        quota: quota, uid: uid, retryAfterSeconds: Int(min(max(seconds.rounded(.up), 1), 86_400)))
    }
    let share = max(Int(Double(holding.queueCapacity) * quotas.queueShare), 1)
    if quotas.queueShare > 0, holding.waitingJobs >= share {
      try refuse(.queueShare(share), Double(holding.secondsUntilRoom))
    }
    if quotas.concurrentJobs > 0, holding.unfinishedJobs >= quotas.concurrentJobs {
      try refuse(.concurrentJobs(quotas.concurrentJobs), Double(holding.secondsUntilRoom))
    }
    var account = account(of: uid, quotas, now: now)
    if quotas.requestsPerMinute > 0, account.requests < 1 {
      let seconds = (1 - account.requests) * 60 / Double(quotas.requestsPerMinute)
      try refuse(.requestsPerMinute(quotas.requestsPerMinute), seconds)
    }
    if quotas.pixelsPerDay > 0, account.pixels + pixels > quotas.pixelsPerDay {
      try refuse(.pixelsPerDay(quotas.pixelsPerDay), (Self.day - (now - account.dayBegan)).seconds)
    }
    account.requests -= 1
    account.pixels += pixels
    accounts[uid] = account
  }

  /// Gives pixels back that were not drawn.
  package mutating func refund(_ uid: UInt32, pixels: Int) {
    guard let drawn = accounts[uid]?.pixels else { return }
    accounts[uid]?.pixels = max(drawn - pixels, 0)
  }

  private mutating func account(
    of uid: UInt32, _ quotas: Quotas, now: ContinuousClock.Instant
  ) -> Account {
    if accounts.count > 4096 { accounts = accounts.filter { now - $0.value.dayBegan < Self.day } }
    let full = Double(quotas.requestsPerMinute)
    guard var account = accounts[uid] else {
      return Account(requests: full, filled: now, dayBegan: now)
    }
    if now - account.dayBegan >= Self.day {
      account.pixels = 0
      account.dayBegan = now
    }
    account.requests = min(account.requests + (now - account.filled).seconds * full / 60, full)
    account.filled = now
    return account
  }
}
