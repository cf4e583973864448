import BananaTesting
import Dispatch
import FoundationEssentials
import Serving
import Synchronization
import Testing

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// What is done for users beside the engine: on which threads, and who waits for whom.
@Suite(.timeLimit(.minutes(5))) struct BackgroundWorkTests {
  /// The nice value of the thread that asks, as the kernel tells it (proc(5), the 19th field).
  private static var niceness: Int? {
    guard let stat = FileManager.default.contents(atPath: "/proc/thread-self/stat") else {
      return nil
    }
    // The second field is the name in parentheses, which may have blanks.
    let text = String(decoding: stat, as: UTF8.self)
    let fields = text[text.lastIndex(of: ")")!...].split(separator: " ")
    return Int(fields[17])
  }

  /// Its threads, and no others, step back.
  @Test func stepsBackBehindAllOthers() async throws {
    let work = BackgroundWork<Int>(width: 4) { _, _ in }
    let usual = Int(getpriority(__priority_which_t(PRIO_PROCESS.rawValue), UInt32(getpid())))
    for owner in 0..<4 {
      #expect(await work.run(for: owner) { Self.niceness } == Int(BackgroundThread.niceness))
      // What the turn does besides is done where its caller is.
      #expect(await work.inTurn(of: owner) { _ in Self.niceness } == usual)
    }
    #expect(usual < BackgroundThread.niceness)
  }

  /// A piece that takes for ever keeps its owner's others waiting, and nobody else's.
  @Test func onePieceOfEachOwnerAtATime() async throws {
    let work = BackgroundWork<Int>(width: 2) { _, _ in }
    let gate = DispatchSemaphore(value: 0)
    let begun = Box<[String]>([])
    let first = Task {
      await work.run(for: 1) {
        begun.value.withLock { $0.append("first") }
        gate.wait()
      }
    }
    #expect(await eventually { begun.value.withLock { $0 } == ["first"] })
    let second = Task { await work.run(for: 1) { begun.value.withLock { $0.append("second") } } }
    for piece in 0..<20 {
      await work.run(for: 2) { begun.value.withLock { $0.append("\(piece)") } }
    }
    #expect(begun.value.withLock { $0 } == ["first"] + (0..<20).map { "\($0)" })
    gate.signal()
    await first.value
    await second.value
    #expect(begun.value.withLock { $0.last } == "second")
  }

  /// What a piece took is told of its owner, also when it fails.
  @Test func tellsWhatItTook() async throws {
    let spent = Mutex<[Int: Double]>([:])
    let work = BackgroundWork<Int>(width: 2) { owner, seconds in
      spent.withLock { $0[owner, default: 0] += seconds }
    }
    @Sendable func compute() -> UInt64 { (0..<1_000_000).reduce(0) { $0 &* 31 &+ UInt64($1) } }
    #expect(await work.run(for: 1) { compute() } != 0)
    await #expect(throws: CancellationError.self) {
      try await work.run(for: 2) { () throws(CancellationError) in
        if compute() != 0 { throw CancellationError() }
      }
    }
    let charged = spent.withLock { $0 }
    #expect(charged.count == 2 && charged.values.allSatisfy { $0 > 0 && $0 < 60 })
  }
}
