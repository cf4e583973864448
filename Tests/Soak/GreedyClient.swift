import BananaAPI
import BananaSDK

/// An app that wants as many equal pictures as it can get, several at a time.
enum GreedyClient {
  /// Requests that each of them has under way, so that its user always has some that wait.
  private static let lanes = 4

  static func run(_ plan: ClientPlan, uid: UInt32, kindSeed: UInt64) async -> ClientReport {
    await withTaskGroup(of: ClientReport.self) { group in
      for _ in 0..<lanes {
        group.addTask { await runLane(plan, uid, kindSeed) }
      }
      return await group.reduce(into: ClientReport()) { $0.merge($1) }
    }
  }

  private static func runLane(
    _ plan: ClientPlan, _ uid: UInt32, _ kindSeed: UInt64
  ) async -> ClientReport {
    let app = OrderlyClient(plan, uid: uid, kindSeed: kindSeed)
    let kind = app.kinds[plan.drawnKind]
    while !plan.isOver {
      let start = Clock.now
      let answer = await app.attempt("draw greedily") { [client = app.client] in
        try await client.generate(kind.request)
      }
      guard case .success(let response) = answer else { continue }
      app.compare(kind, response.data, "draw greedily")
      app.report.finishes.append(
        .init(
          time: Clock.now, pixels: kind.pictures * 256 * 256, pictures: kind.pictures,
          seconds: Clock.now - start))
    }
    return app.report
  }
}
