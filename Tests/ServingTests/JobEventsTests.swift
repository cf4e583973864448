import BananaAPI
import BananaTesting
import Diffusion
import FoundationEssentials
import Models
import Serving
import Testing

/// What waits for a client that does not read.
@Suite(.timeLimit(.minutes(5))) struct JobEventsTests {
  private static let ann = Peer(uid: 61_001, isAdmin: false)
  private static let ben = Peer(uid: 61_002, isAdmin: false)

  private static func submission(_ admission: Admission) -> Submission {
    var request = PictureRequest(
      prompt: "p", size: PictureSize(width: 512, height: 512), steps: 4, seed: 1, count: 1)
    request.previews = 2
    return Submission(
      request: request, peer: ann, isStreamed: true, room: TransferRoom(of: ann, in: admission)
    ) { result, facts in
      ImageGenerationResponse(
        created: 0, data: result.pictures.map { .init(png: Data($0.png), seed: $0.seed) },
        background: "transparent", size: "512x512", quality: "auto", model: "fake",
        timings: .init(
          queueSeconds: 0, textSeconds: 0, denoiseSeconds: 0, decodeSeconds: 0, encodeSeconds: 0,
          totalSeconds: 0), warnings: [], job: facts.id)
    }
  }

  /// Pictures that nobody reads take what the account may have and no more, and are given back.
  @Test func picturesThatNobodyReadsAreBounded() async throws {
    let admission = Admission(
      configuration: .init(transferBytes: 8 << 20, editPixels: 1 << 10), connections: 8)
    // A megabyte each.
    let engine = FakeEngine(drawsPixels: true)
    let scheduler = JobScheduler(configuration: .init(), availableBytes: { nil })
    var jobs: [Job] = []
    for _ in 0..<6 {
      jobs.append(try await scheduler.submit(Self.submission(admission), to: engine))
    }
    #expect(await eventually { await scheduler.snapshot(for: nil).finishedJobs == 6 })
    #expect(throws: APIError.self) { try admission.take(bytes: 2 << 20, for: Self.ann) }
    try admission.take(bytes: 2 << 20, for: Self.ben)
    admission.give(bytes: 2 << 20, of: Self.ben)
    var (whole, unread) = (0, 0)
    for job in jobs {
      for await event in job.events {
        switch event {
        case .finished(let response):
          #expect(response.data[0].png.count > 1 << 20)
          whole += 1
        case .failed(let error):
          #expect(error == .unread)
          unread += 1
        case .waiting, .progress, .preview: break
        }
      }
      job.events.leave()
    }
    #expect(whole >= 1 && unread >= 1 && whole + unread == 6)
    try admission.take(bytes: 4 << 20, for: Self.ann)
  }
}
