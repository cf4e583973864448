/// How often each account may ask: a bucket that fills up within a minute for requests that make
/// work, and a larger one for looking.
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
    var kind: Kind
  }

  /// Looking is not what a low quota is for.
  private static let looksPerMinute = 6000
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
    let full = Double(limit)
    let key = Key(account: account, kind: kind)
    var bucket = buckets[key] ?? Bucket(level: full, filled: now)
    bucket.level = min(bucket.level + (now - bucket.filled).seconds * full / 60, full)
    bucket.filled = now
    let isEmpty = bucket.level < 1
    if !isEmpty { bucket.level -= 1 }
    if buckets.count >= Self.maximumBuckets {
      // A bucket that nobody took from for a minute is full.
      buckets = buckets.filter { now - $0.value.filled < .seconds(60) }
    }
    buckets[key] = bucket
    if isEmpty { throw TooMany(perMinute: limit, seconds: (1 - bucket.level) * 60 / full) }
  }

  package struct TooMany: Error, Sendable, Equatable {
    package var perMinute: Int
    package var seconds: Double

    package init(perMinute: Int, seconds: Double) {
      self.perMinute = perMinute
      self.seconds = seconds
    }
  }
}
