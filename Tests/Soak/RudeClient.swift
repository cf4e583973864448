import BananaAPI
import BananaTesting
import Foundation

/// A client as no app should be. Nothing is promised to it; only the others must not notice.
struct RudeClient {
  let plan: ClientPlan
  let kinds: [RequestKind]
  var report = ClientReport()
  private var random: SeededGenerator

  init(_ plan: ClientPlan, uid: UInt32, kindSeed: UInt64) {
    self.plan = plan
    kinds = RequestKind.all(seed: kindSeed)
    random = SeededGenerator(seed: plan.seed)
    report.uid = uid
  }

  mutating func run() async {
    while Clock.now < plan.end {
      let actions = ["slow", "half", "hang up", "hang up upload", "garbage", "deaf", "crowd"]
      let action = actions.randomElement(using: &random)!
      do {
        switch action {
        case "slow": try await sendSlowly()
        case "half": try await sendHalf()
        case "hang up": try await hangUp()
        case "hang up upload": try await hangUpUpload()
        case "garbage": try await sendGarbage()
        case "deaf": try await sendAndNeverRead()
        default: try await crowd()
        }
        report.count("rude: \(action)", "done")
      } catch {
        // Being shown the door is as good.
        report.count("rude: \(action)", "cut off")
        await sleep(0.1)
      }
    }
  }

  private mutating func drawing(_ pictures: Int = 1) throws -> [UInt8] {
    var request = kinds.filter { $0.edit == nil && $0.privatePeel == nil }
      .randomElement(using: &random)!.request
    request.stream = Bool.random(using: &random)
    request.count = pictures
    let body = [UInt8](try JSONEncoder().encode(request))
    return RawConnection.request("POST", Route.imageGenerations, body: body)
  }

  private mutating func sendSlowly() async throws {
    let connection = try RawConnection(plan.space.socket)
    for byte in try drawing().prefix(Int.random(in: 5...60, using: &random)) {
      try await connection.send([byte])
      await sleep(0.03)
    }
  }

  /// Stops in the middle, and waits to be cut off.
  private mutating func sendHalf() async throws {
    let connection = try RawConnection(plan.space.socket)
    let request = try drawing()
    try await connection.send(
      Array(request.prefix(Int.random(in: 1..<request.count, using: &random))))
    _ = try? await within(Double.random(in: 0.2...6, using: &random)) {
      try await connection.receiveAll()
    }
  }

  private mutating func hangUp() async throws {
    let connection = try RawConnection(plan.space.socket)
    try await connection.send(try drawing(Int.random(in: 1...4, using: &random)))
    await sleep(Double.random(in: 0...0.5, using: &random))
    _ = try? await within(0.5) { try await connection.receive() }
    connection.hangUp()
  }

  private mutating func hangUpUpload() async throws {
    let file = [UInt8](try Data(contentsOf: URL(filePath: plan.space.peel(0))))
    let connection = try RawConnection(plan.space.socket)
    // A name that no list may ever show.
    let path = "\(Route.peels)?name=u\(report.uid)-rude\(plan.index)"
    let request = RawConnection.request("POST", path, body: file)
    let part = request.count - Int.random(in: 1..<file.count, using: &random)
    try await connection.send(Array(request.prefix(part)))
    await sleep(Double.random(in: 0...1, using: &random))
    connection.hangUp()
  }

  private mutating func sendGarbage() async throws {
    let connection = try RawConnection(plan.space.socket)
    var bytes = (0..<Int.random(in: 1...5000, using: &random)).map { _ in
      UInt8.random(in: 0...255, using: &random)
    }
    if Bool.random(using: &random) {
      var mutator = Mutator(seed: random.next(), tokens: ["\r\n", "Content-Length: 9\r\n", "\0"])
      bytes = mutator.mutate(try drawing())
    }
    try await connection.send(bytes)
    _ = try? await within(1) { try await connection.receiveAll() }
  }

  /// Asks for more than a socket's buffers hold, and never takes it.
  private mutating func sendAndNeverRead() async throws {
    let connection = try RawConnection(plan.space.socket)
    try await connection.send(try drawing(Int.random(in: 4...10, using: &random)))
    await sleep(Double.random(in: 1...5, using: &random))
    connection.hangUp()
  }

  /// Many connections that ask for nothing.
  private mutating func crowd() async throws {
    var connections: [RawConnection] = []
    for _ in 0..<Int.random(in: 10...60, using: &random) {
      connections.append(try RawConnection(plan.space.socket))
    }
    await sleep(Double.random(in: 0...2, using: &random))
    withExtendedLifetime(connections) {}
  }

  private func sleep(_ seconds: Double) async {
    let rest = min(seconds, max(plan.end - Clock.now, 0))
    try? await Task.sleep(for: .seconds(rest))
  }
}
