// Draws a picture of what it is told:  swift run Draw "a red apple" apple.png
import BananaAPI
import BananaSDK
import Foundation

let prompt = CommandLine.arguments.dropFirst().first ?? "a red apple"
let file = URL(filePath: CommandLine.arguments.dropFirst(2).first ?? "apple.png")
do {
  for try await event in BananaClient().events(for: ImageGenerationRequest(prompt: prompt)) {
    switch event {
    case .queued(let jobsAhead): print("\(jobsAhead) jobs come first")
    case .progress(let step): print("\(step.stage) \(step.step) of \(step.of)")
    case .partialImage: break
    case .completed(let picture): try picture.png.write(to: file)
    }
  }
} catch let error as BananaError {
  print(error, error.retryAfter.map { "Try again in \($0)." } ?? "")
  exit(1)
}
