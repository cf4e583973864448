import FuzzTargets
import Testing

/// What fuzzing has found interesting holds for ever. A failure names the input; `make fuzz` says
/// how to replay it alone.
@Suite struct CorpusTests {
  @Test(arguments: FuzzTarget.allCases) func holds(_ target: FuzzTarget) throws {
    let inputs = try Corpus(of: target).inputs
    #expect(!inputs.isEmpty, "the corpus of \(target) is missing")
    for input in inputs {
      do throws(Violation) { try target.run(input.bytes) } catch {
        Issue.record("\(target), \(input.name): \(error)")
      }
    }
  }
}
