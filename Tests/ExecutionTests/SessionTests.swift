import Graph
import Reference
import TensorTypes
import Testing
import Weights

@testable import Execution

@Suite struct SessionTests {
  /// A session that holds `4 * 16 * rows` bytes.
  private func session(rows: Int, in arena: any Arena = HostArena()) throws -> Session {
    let builder = GraphBuilder("g")
    builder.output("y", builder.silu(builder.input("x", [1, rows, 16])))
    let weights = ReferenceBackend().bind(try WeightStore(files: []), activations: .float32)
    return try Session(weights.compile(Planner.plan(builder.build()), in: arena))
  }

  @Test func theLeastRecentlyUsedGoesFirst() throws {
    let bytes = try session(rows: 16).residentBytes
    let cache = SessionCache<String>(capacityBytes: 2 * bytes)
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
    let cache = SessionCache<Int>(capacityBytes: 1)
    let first = try cache.session(for: 1) { () throws(ExecutionError) in try! session(rows: 4) }
    #expect(first.residentBytes == 4 * 64)
    _ = try cache.session(for: 2) { () throws(ExecutionError) in try! session(rows: 4) }
    #expect(cache.residentBytes == first.residentBytes)
  }

  @Test func inputsKeepTheirValuesOverRuns() throws {
    let arena = HostArena()
    let (first, second) = (try session(rows: 1, in: arena), try session(rows: 4, in: arena))
    first.write((0..<16).map { Float($0) - 8 }, to: "x")
    try first.run()
    let expected = first.read("y")
    #expect(expected[8] == 0 && expected[9] > 0.7)
    second.write(repeatElement(3, count: 64), to: "x")
    for _ in 0..<2 {
      // What it runs in grows, is written over and given back.
      try second.run()
      try first.run()
      #expect(first.read("y") == expected)
      arena.release()
    }
  }

  @Test func oneArenaServesAll() throws {
    let arena = HostArena()
    let sessions = try [4, 16, 1].map { try session(rows: $0, in: arena) }
    for session in sessions { try session.run() }
    #expect(arena.byteCount == 4 * 16 * 16)
    arena.release()
    #expect(arena.byteCount == 0)
    try sessions[0].run()
    #expect(arena.byteCount == 4 * 16 * 4)
  }

  @Test func outputsBecomeInputs() throws {
    let arena = HostArena()
    let (first, second) = (try session(rows: 1, in: arena), try session(rows: 3, in: arena))
    first.write((0..<16).map { Float($0) }, to: "x")
    try first.run()
    let once = first.read("y")
    for row in [0, 2] { second.copy("y", of: first, to: "x", at: 16 * row) }
    second.write(first.read("y"), to: "x", at: 16)
    try second.run()
    second.copy("y", of: second, to: "x")
    first.write(once, to: "x")
    try first.run()
    let twice = first.read("y")
    try second.run()
    var part = Array(repeating: Float(0), count: 16)
    second.read("y", from: 16, into: &part)
    #expect(part != twice && part.count == 16)
    first.write(twice, to: "x")
    try first.run()
    #expect(first.read("y") == part)
  }

  /// To read what another network has written over is a mistake of the program.
  @Test func outputsAreGoneOnceAnotherNetworkRuns() async {
    await #expect(processExitsWith: .failure) {
      let arena = HostArena()
      let sessions = try [1, 4].map { try SessionTests().session(rows: $0, in: arena) }
      try sessions[0].run()
      try sessions[1].run()
      _ = sessions[0].read("y")
    }
    await #expect(processExitsWith: .failure) {
      let arena = HostArena()
      let session = try SessionTests().session(rows: 1, in: arena)
      try session.run()
      arena.release()
      _ = session.read("y")
    }
    await #expect(processExitsWith: .success) {
      let arena = HostArena()
      let sessions = try [1, 4].map { try SessionTests().session(rows: $0, in: arena) }
      for session in sessions {
        try session.run()
        _ = session.read("y")
      }
    }
  }

  @Test func noMemoryIsAnError() throws {
    let arena = HostArena()
    #expect(throws: ExecutionError.self) { _ = try arena.reserve(1 << 60) }
    #expect(arena.byteCount == 0)
  }
}
