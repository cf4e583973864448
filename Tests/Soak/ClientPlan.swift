#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// What a client process shall do; handed to it as JSON.
struct ClientPlan: Codable, Sendable {
  enum Role: String, Codable, Sendable {
    /// Everything that an app may do, at random.
    case orderly
    /// What no app should do.
    case rude
    /// As many pictures as it can get.
    case greedy
    /// A number of requests for pictures.
    case counted
    /// Removes the peels of its user.
    case cleanup
    /// Measures how quickly the admin's paths answer.
    case probe
    /// Measures how quickly `/healthz` answers.
    case healthProbe
    /// Does harm, of one kind.
    case hostile
    /// Removes what a hostile user has installed.
    case sweep
  }

  var role: Role
  /// Distinguishes the clients of a phase, from 0.
  var index: Int
  /// How many orderly clients there are in the phase.
  var orderlyClients = 0
  var seed: UInt64
  /// Whom it becomes; nil stays who it is.
  var user: User?
  var space: Workspace
  /// When to begin nothing more, by `Clock.now`.
  var end = Double.infinity
  /// Once it is there, nothing more is begun either.
  var stopFile: String?
  /// The process of the run: without it, nothing is begun any more.
  var parent = getpid()
  /// Of a counted client.
  var requests = 0
  /// Which kind of request a greedy client sends.
  var drawnKind = RequestKind.smallest
  /// What a hostile client does.
  var harm: HostileKind?

  struct User: Codable, Sendable, Hashable {
    var uid: UInt32
    var gid: UInt32
  }

  var isOver: Bool {
    Clock.now >= end || getppid() != parent || stopFile.map { access($0, F_OK) == 0 } ?? false
  }

  var reportPath: String { "\(space.reports)/\(role.rawValue)-\(index)-\(Int(end)).json" }
}

/// What a client process saw.
struct ClientReport: Codable, Sendable {
  /// Something that is right only while the daemon is down.
  struct Interruption: Codable, Sendable {
    var start: Double
    var end: Double
    var what: String
  }

  /// An answer that a greedy client got.
  struct Finish: Codable, Sendable {
    var time: Double
    var pixels: Int
    var pictures: Int
    /// From the request to the answer.
    var seconds: Double
  }

  struct Sample: Codable, Sendable {
    var start: Double
    var seconds: Double
  }

  var uid: UInt32 = 0
  /// How often what ended how.
  var outcomes: [String: [String: Int]] = [:]
  /// What must not be; the first of them.
  var failures: [String] = []
  var failureCount = 0
  var interruptions: [Interruption] = []
  var comparedPictures = 0
  var wrongPictures = 0
  /// Those of them whose pixels are others, not only the bytes of the file.
  var wrongPixels = 0
  /// When they came.
  var wrongTimes: [Double] = []
  /// Lists, jobs and peels that were looked at for other users' things, and such things found.
  var looks = 0
  var strangersSeen = 0
  /// Installed peels that were looked at, and those that were not whole.
  var peelsSeen = 0
  var brokenPeels = 0
  var finishes: [Finish] = []
  /// Of a probe, by path.
  var samples: [String: [Sample]] = [:]

  mutating func count(_ action: String, _ outcome: String) {
    outcomes[action, default: [:]][outcome, default: 0] += 1
  }

  mutating func fail(_ what: String) {
    failureCount += 1
    if failures.count < Self.keptFailures { failures.append(what) }
  }

  /// More say nothing new.
  static let keptFailures = 20

  /// How many pictures were looked at, and what was wrong with them.
  var pictures: String {
    "\(comparedPictures) compared, \(wrongPictures) wrong"
      + (wrongPictures > 0 ? ", \(wrongPixels) of them in pixels" : "")
  }

  mutating func merge(_ other: ClientReport) {
    for (action, counts) in other.outcomes {
      outcomes[action, default: [:]].merge(counts, uniquingKeysWith: +)
    }
    wrongTimes += other.wrongTimes
    failures += other.failures
    failureCount += other.failureCount
    interruptions += other.interruptions
    comparedPictures += other.comparedPictures
    wrongPictures += other.wrongPictures
    wrongPixels += other.wrongPixels
    looks += other.looks
    strangersSeen += other.strangersSeen
    peelsSeen += other.peelsSeen
    brokenPeels += other.brokenPeels
    finishes += other.finishes
    samples.merge(other.samples, uniquingKeysWith: +)
  }
}
