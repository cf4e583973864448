import BananaAPI
import BananaTesting

/// How a request for pictures is sent.
struct Manner: Sendable {
  var isStreamed = false
  var previews = 0
  var priority = JobPriority.normal
  var deadlineSeconds: Double?
  var isStored = false
}

/// What a client does next.
enum Action: Sendable {
  case draw(kind: Int, Manner)
  /// Streams, and cancels when the first step is done.
  case cancel(kind: Int)
  /// Cancels as soon as the job's id is known.
  case cancelWaiting(kind: Int)
  /// Asks for a stored job, hangs up, and fetches the answer.
  case abandonAndFetch(kind: Int)
  case installPeel(Int)
  case installBrokenPeel
  case removePeel
  case drawWithOwnPeel
  case listPeels
  case listJobs
  /// Tries the job and the peel of another client.
  case snoop(client: Int)
  case status
  case metrics
  case models
  case badRequest(Int)
}

/// The choices of one client: the same from the same seed, whatever happens.
struct Script {
  private var random: SeededGenerator
  private let clients: Int

  init(seed: UInt64, clients: Int) {
    random = SeededGenerator(seed: seed)
    self.clients = clients
  }

  mutating func next() -> Action {
    switch Int.random(in: 0..<100, using: &random) {
    case 0..<48: .draw(kind: drawnKind(), manner())
    case 48..<52: .cancel(kind: drawnKind())
    case 52..<55: .cancelWaiting(kind: wordsOnlyKind())
    case 55..<59: .abandonAndFetch(kind: wordsOnlyKind())
    case 59..<64: .installPeel(Int.random(in: 0..<Workspace.peelNames.count, using: &random))
    case 64..<66: .installBrokenPeel
    case 66..<69: .removePeel
    case 69..<77: .drawWithOwnPeel
    case 77..<80: .listPeels
    case 80..<84: .listJobs
    case 84..<88: .snoop(client: Int.random(in: 0..<max(clients, 1), using: &random))
    case 88..<90: .status
    case 90..<91: .metrics
    case 91..<92: .models
    default: .badRequest(Int.random(in: 0..<BadRequest.all.count, using: &random))
    }
  }

  /// The mix of the memory test: mostly small ones, and no change of what is installed.
  mutating func nextOfMany() -> Action {
    switch Int.random(in: 0..<100, using: &random) {
    case 0..<72: .draw(kind: [0, 8, 16][Int.random(in: 0..<3, using: &random)], Manner())
    case 72..<95: .draw(kind: drawnKind(), manner())
    default: .badRequest(Int.random(in: 0..<BadRequest.all.count, using: &random))
    }
  }

  private mutating func drawnKind() -> Int {
    Int.random(in: 0..<RequestKind.withPrivatePeel[0], using: &random)
  }

  /// One that is no edit.
  private mutating func wordsOnlyKind() -> Int {
    let kind = drawnKind()
    return kind % 8 < 6 ? kind : kind - 2
  }

  private mutating func manner() -> Manner {
    var manner = Manner()
    manner.isStreamed = Bool.random(using: &random)
    if manner.isStreamed { manner.previews = Int.random(in: 0...3, using: &random) }
    manner.priority = JobPriority.allCases.randomElement(using: &random)!
    switch Int.random(in: 0..<10, using: &random) {
    case 0: manner.deadlineSeconds = Double(Int.random(in: 1...50, using: &random)) / 1000
    case 1, 2: manner.deadlineSeconds = 600
    case 3, 4: manner.isStored = true
    default: break
    }
    return manner
  }
}
