/// How much one account may ask for. Zero switches a quota off.
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
    /// Bytes of the images of edits that wait.
    case waitingImageBytes(Int)
  }

  package var quota: Quota
  package var account: Account
  package var retryAfterSeconds: Int

  package init(quota: Quota, account: Account, retryAfterSeconds: Int) {
    self.quota = quota
    self.account = account
    self.retryAfterSeconds = retryAfterSeconds
  }
}

extension QuotaRefusal {
  fileprivate init(quota: Quota, account: Account, seconds: Double) {
    self.init(
      quota: quota, account: account,
      retryAfterSeconds: Int(min(max(seconds.rounded(.up), 1), 86_400)))
  }
}

/// What accounts have used of their quotas.
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

  private struct Usage {
    var pixels = 0
    /// The day begins with the first picture.
    var dayBegan: ContinuousClock.Instant
  }

  private static let day = Duration.seconds(86_400)
  private var usages: [Account: Usage] = [:]

  package init() {}

  /// Charges a user for a job, unless one of the quotas is used up. How often it may ask is
  /// `RequestRates`' affair.
  package mutating func charge(
    _ account: Account, pixels: Int, holding: Holding, _ quotas: Quotas,
    now: ContinuousClock.Instant
  ) throws(QuotaRefusal) {
    try Self.check(account, holding: holding, quotas)
    var usage = usage(of: account, now: now)
    if quotas.pixelsPerDay > 0, usage.pixels + pixels > quotas.pixelsPerDay {
      throw QuotaRefusal(
        quota: .pixelsPerDay(quotas.pixelsPerDay), account: account,
        seconds: (Self.day - (now - usage.dayBegan)).seconds)
    }
    usage.pixels += pixels
    usages[account] = usage
  }

  /// Whether an account may have another job at all.
  package static func check(
    _ account: Account, holding: Holding, _ quotas: Quotas
  ) throws(QuotaRefusal) {
    let seconds = Double(holding.secondsUntilRoom)
    let share = max(Int(Double(holding.queueCapacity) * quotas.queueShare), 1)
    if quotas.queueShare > 0, holding.waitingJobs >= share {
      throw QuotaRefusal(quota: .queueShare(share), account: account, seconds: seconds)
    }
    if quotas.concurrentJobs > 0, holding.unfinishedJobs >= quotas.concurrentJobs {
      throw QuotaRefusal(
        quota: .concurrentJobs(quotas.concurrentJobs), account: account, seconds: seconds)
    }
  }

  /// Gives pixels back that were not drawn.
  package mutating func refund(_ account: Account, pixels: Int) {
    guard let drawn = usages[account]?.pixels else { return }
    usages[account]?.pixels = max(drawn - pixels, 0)
  }

  private mutating func usage(of account: Account, now: ContinuousClock.Instant) -> Usage {
    if usages.count > 4096 { usages = usages.filter { now - $0.value.dayBegan < Self.day } }
    guard var usage = usages[account] else {
      return Usage(dayBegan: now)
    }
    if now - usage.dayBegan >= Self.day {
      usage.pixels = 0
      usage.dayBegan = now
    }
    return usage
  }
}
