import Dispatch
import FuzzTargets
import Testing

/// What fuzzing has found interesting holds for ever. A failure names the input; `make fuzz` says
/// how to replay it alone.
@Suite struct CorpusTests {
  @Test(arguments: FuzzTarget.allCases) func holds(_ target: FuzzTarget) async throws {
    let inputs = try Corpus(of: target).inputs
    #expect(!inputs.isEmpty, "the corpus of \(target) is missing")
    for input in inputs {
      let result = await Self.onAThread {
        Result { () throws(Violation) in try target.run(input.bytes) }
      }
      if case .failure(let error) = result {
        Issue.record("\(target), \(input.name): \(error)")
      }
    }
  }

  /// Some targets wait for tasks, which the threads of tasks must not do.
  private static func onAThread<Value: Sendable>(
    _ body: @escaping @Sendable () -> Value
  ) async -> Value {
    await withCheckedContinuation { continuation in
      DispatchQueue.global().async { continuation.resume(returning: body()) }
    }
  }
}
