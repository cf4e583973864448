/// How often each account may ask: a bucket that fills up within a minute for requests that make
/// work, and a larger one for looking. A third one says how many refusals an account is told at
/// once: whoever does not heed them waits for each, on the connection that it asked with.
package struct RequestRates {
  package enum Kind: Sendable {
    /// Every POST.
    case work
    /// Everything else, and connecting.
    case look
  }

  private struct Bucket {
    var level: Double
    var filled: ContinuousClock.Instant
  }

  private struct Key: Hashable {
    var account: Account
    /// Nil for refusals that are told at once.
    var kind: Kind?
  }

  /// Looking is not what a low quota is for.
  private static let looksPerMinute = 6000
  /// In a second. Clients that heed `Retry-After` need a few.
  package static let promptRefusals = 32
  /// How late every further one is told.
  package static let lateness = Duration.milliseconds(500)
  private static let maximumBuckets = 8192
  private var buckets: [Key: Bucket] = [:]

  package init() {}

  /// Buckets that are remembered.
  package var count: Int { buckets.count }

  /// Takes a token, before anything is done.
  /// - Parameter perMinute: Of work; 0 is no limit at all.
  /// - Throws: The seconds until there is one again.
  package mutating func take(
    _ kind: Kind, for account: Account, perMinute: Int, now: ContinuousClock.Instant
  ) throws(TooMany) {
    guard perMinute > 0 else { return }
    let limit = kind == .work ? perMinute : max(10 * perMinute, Self.looksPerMinute)
    guard let wait = take(kind, of: account, limit: limit, fillSeconds: 60, now: now) else {
      return
    }
    throw TooMany(
      perMinute: limit, seconds: wait, lateness: lateness(of: account, now: now))
  }

  /// How late an account is to be told of a refusal.
  package mutating func lateness(
    of account: Account, now: ContinuousClock.Instant
  ) -> Duration {
    let wait = take(nil, of: account, limit: Self.promptRefusals, fillSeconds: 1, now: now)
    return wait == nil ? .zero : Self.lateness
  }

  /// - Returns: The seconds until there is a token again; nil when there was one.
  private mutating func take(
    _ kind: Kind?, of account: Account, limit: Int, fillSeconds: Double,
    now: ContinuousClock.Instant
  ) -> Double? {
    let full = Double(limit)
    let perSecond = full / fillSeconds
    let key = Key(account: account, kind: kind)
    var bucket = buckets[key] ?? Bucket(level: full, filled: now)
    bucket.level = min(bucket.level + (now - bucket.filled).seconds * perSecond, full)
    bucket.filled = now
    let isEmpty = bucket.level < 1
    if !isEmpty { bucket.level -= 1 }
    if buckets.count >= Self.maximumBuckets {
      // A bucket that nobody took from for a minute is full.
      buckets = buckets.filter { now - $0.value.filled < .seconds(60) }
    }
    buckets[key] = bucket
    return isEmpty ? (1 - bucket.level) / perSecond : nil
  }

  package struct TooMany: Error, Sendable, Equatable {
    package var perMinute: Int
    package var seconds: Double
    /// How long to wait before the account is told.
    package var lateness: Duration

    package init(perMinute: Int, seconds: Double, lateness: Duration = .zero) {
      self.perMinute = perMinute
      self.seconds = seconds
      self.lateness = lateness
    }
  }
}
