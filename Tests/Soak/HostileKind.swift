/// What one user may try so that others get less, wait or are cut off.
enum HostileKind: String, Codable, CaseIterable, Sendable {
  /// Fields and bodies that are deep, long or endless where something short is due.
  case nestedFields
  /// Small PNG files that become large pictures, in requests that are good and bad.
  case pngBombs
  /// Peels as large as can be: drawn with in requests that are wrong elsewhere, installed and
  /// removed, and refused for their last byte.
  case largePeels
  /// Peels whose texts and tables are most of them.
  case wordyPeels
  /// Forms of 15 MiB that never end.
  case halfForms
  /// Heads and bodies of which a byte comes now and then.
  case drippedBytes
  /// As many connections as can be opened.
  case connections
  /// Connections that come and go.
  case churn
  /// Everything is urgent.
  case interactive
  /// Pictures that look like little work: small ones with many previews, edits, one step of the
  /// largest size, peels.
  case cheapLooking
  /// Edits of large images that wait and are kept.
  case waitingEdits
  /// Ten pictures of fifty steps.
  case longJobs
  /// Answers that are kept, more than fit.
  case storedAnswers
  /// Numbers at the edges of what is allowed.
  case edgeNumbers
  /// Requests that are refused, as many as can be sent.
  case badRequests
  /// Large answers that nobody reads, or a byte at a time.
  case slowReaders
  /// Whole forms of clients that hang up behind the last byte.
  case goneForms
  /// Streams of many previews that nobody reads.
  case unreadStreams
  /// Jobs that fail and are kept, asked for at full rate.
  case keptFailures
  /// Ids of jobs guessed, and own jobs begun only to be cancelled or left.
  case jobGuessing
  /// What is no HTTP, or HTTP without an end.
  case garbage
  /// Not one uid but many, none of which the machine knows: all of them are one user's.
  case manyUsers
  /// All of these at once, but for the uids.
  case everything

  /// Client processes of the hostile user.
  var processes: Int { self == .manyUsers ? 8 : 3 }

  /// The uid of one of them, when it is not the hostile user's.
  func user(ofProcess index: Int) -> UInt32? {
    self == .manyUsers ? 61_001 + UInt32(index) : nil
  }

  /// What each of them does at the same time.
  var lanes: Int {
    switch self {
    case .halfForms: 30
    case .unreadStreams: 80
    case .manyUsers: 4
    case .drippedBytes: 64
    case .connections: 4
    case .interactive, .cheapLooking, .waitingEdits, .storedAnswers, .everything: 24
    case .nestedFields, .pngBombs, .longJobs, .edgeNumbers, .slowReaders, .jobGuessing, .goneForms,
      .keptFailures:
      8
    case .largePeels, .wordyPeels, .churn, .badRequests, .garbage: 6
    }
  }

  /// What the mixture is of.
  static let single = allCases.filter { $0 != .everything && $0 != .manyUsers }
}
