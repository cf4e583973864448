import Graph
import TensorTypes
import Testing
import Weights

@testable import Execution

@Suite struct PlanCacheTests {
  /// A session that holds `4 * 16 * rows` bytes and a little.
  private func session(rows: Int) throws -> Session {
    let builder = GraphBuilder("g")
    builder.output("y", builder.silu(builder.input("x", [1, rows, 16])))
    let weights = ReferenceBackend().bind(try WeightStore(files: []), activations: .float32)
    return try Session(weights.compile(Planner.plan(builder.build())))
  }

  @Test func theLeastRecentlyUsedGoesFirst() throws {
    let bytes = try session(rows: 16).peakBytes
    let cache = PlanCache<String>(capacityBytes: 2 * bytes)
    var made: [String] = []
    func use(_ key: String) throws {
      _ = try cache.session(for: key) { () throws(ExecutionError) in
        made.append(key)
        return try! session(rows: 16)
      }
    }
    for key in ["a", "b", "a", "c", "a", "b"] { try use(key) }
    // "b" was older than "a" when "c" came, so it alone is made again.
    #expect(made == ["a", "b", "c", "b"])
    #expect(cache.residentBytes == 2 * bytes)
  }

  @Test func oneThatIsTooLargeIsStillServed() throws {
    let cache = PlanCache<Int>(capacityBytes: 1)
    let first = try cache.session(for: 1) { () throws(ExecutionError) in try! session(rows: 4) }
    #expect(first.input("x").count == 64)
    _ = try cache.session(for: 2) { () throws(ExecutionError) in try! session(rows: 4) }
    #expect(cache.residentBytes == first.peakBytes)
  }

  @Test func inputsKeepTheirValuesOverRuns() throws {
    let session = try session(rows: 1)
    session.write((0..<16).map { Float($0) - 8 }, to: "x")
    try session.run()
    let first = Array(session.output("y"))
    try session.run()
    #expect(Array(session.output("y")) == first)
    #expect(session.input("x")[0] == -8 && first[8] == 0 && first[9] > 0.7)
  }
}
