import BananaAPI
import BananaSDK
import BananaTesting
import Foundation

extension OrderlyClient {
  func draw(_ kind: RequestKind, _ manner: Manner) async {
    var request = kind.request
    request.priority = manner.priority
    request.deadlineSeconds = manner.deadlineSeconds
    request.store = manner.isStored ? true : nil
    request.partialImages = manner.isStreamed ? manner.previews : nil
    let isHurried = (manner.deadlineSeconds ?? 600) < 1
    let action =
      (kind.edit == nil ? "draw" : "edit") + (manner.isStreamed ? " streamed" : "")
      + (manner.isStored ? " stored" : "") + (isHurried ? " hurried" : "")
    let start = Clock.now
    let answer = await attempt(action, expecting: isHurried ? [.deadlineExceeded] : []) {
      [client, space, request] in
      if let edit = try kind.imageEdit(request, space) {
        if !manner.isStreamed { return try await client.edit(edit) }
        return try await Self.collect(client.events(editing: edit), kind)
      }
      if !manner.isStreamed { return try await client.generate(request) }
      return try await Self.collect(client.events(for: request), kind)
    }
    guard case .success(let response) = answer else { return }
    compare(kind, response.data, action)
    guard manner.isStored else { return }
    guard let job = response.job else { return fail("\(action): the answer names no job") }
    publish(job)
    await fetch(job, of: kind, "fetch again", since: start)
  }

  /// The answer that a stream makes.
  private static func collect(
    _ events: AsyncThrowingStream<GenerationEvent, any Error>, _ kind: RequestKind
  ) async throws -> ImageGenerationResponse {
    var completed: [ImageCompleted] = []
    for try await event in events {
      switch event {
      case .queued, .progress: break
      case .partialImage(let preview):
        guard preview.png.count > 67, (0..<kind.pictures).contains(preview.index) else {
          throw Mismatch(what: "a preview of picture \(preview.index) is no picture")
        }
      case .completed(let picture): completed.append(picture)
      }
    }
    guard let answer = ImageGenerationResponse(events: completed) else {
      throw Mismatch(what: "the stream ended without pictures")
    }
    return answer
  }

  /// The answer of a stored job, which a restart forgets.
  private func fetch(
    _ job: String, of kind: RequestKind, _ action: String, since start: Double
  ) async {
    let answer = await attempt(
      action, whenDown: [.jobNotFound, .shuttingDown], since: start
    ) { [client] in try await client.result(ofJob: job) }
    if case .success(let response) = answer { compare(kind, response.data, action) }
  }

  /// Tells other clients the id of a job of this user.
  private func publish(_ job: String) {
    let path = "\(space.ids)/\(plan.index)-\(uid)"
    try? Data(job.utf8).write(to: URL(filePath: path), options: .atomic)
  }

  func cancel(_ kind: RequestKind) async {
    let answer = await attempt("cancel running", expecting: [.cancelled]) {
      [client, space] () -> [GeneratedImage] in
      let events =
        if let edit = try kind.imageEdit(kind.request, space) {
          client.events(editing: edit)
        } else { client.events(for: kind.request) }
      var pictures: [GeneratedImage] = []
      var isCancelled = false
      for try await event in events {
        switch event {
        case .progress(let progress):
          guard let job = progress.job, !isCancelled else { continue }
          isCancelled = true
          // Too late is no mistake.
          do { try await client.cancelJob(job) } catch BananaError.refused(let refusal)
            where refusal.code == .jobNotFound
          {}
        case .completed(let picture):
          pictures.append(GeneratedImage(png: picture.png, seed: picture.seed))
        case .queued, .partialImage: continue
        }
      }
      return pictures
    }
    if case .success(let pictures) = answer { compare(kind, pictures, "cancel running") }
  }

  func cancelWaiting(_ kind: RequestKind) async {
    _ = await attempt("cancel waiting", expecting: [.cancelled]) { [client, space] in
      let stream = try await JobStream(kind, isStored: false, space)
      do { try await client.cancelJob(stream.job) } catch BananaError.refused(let refusal)
        where refusal.code == .jobNotFound
      {}
      let rest = try await stream.rest()
      if rest.contains(#""code":"cancelled""#) {
        throw BananaError.refused(APIError(.cancelled, ""))
      }
      guard rest.contains("image_generation.completed") else {
        throw BananaError.connectionLost(reason: "neither cancelled nor completed")
      }
    }
  }

  func abandonAndFetch(_ kind: RequestKind) async {
    let start = Clock.now
    let answer = await attempt("abandon stored") { [space] in
      try await JobStream(kind, isStored: true, space).job
    }
    guard case .success(let job) = answer else { return }
    publish(job)
    await fetch(job, of: kind, "fetch abandoned", since: start)
  }
}

/// A streamed request whose job is known from its first event.
private struct JobStream {
  let job: String
  private let connection: RawConnection
  private let beginning: String

  init(_ kind: RequestKind, isStored: Bool, _ space: Workspace) async throws {
    var request = kind.request
    request.stream = true
    request.store = isStored
    connection = try RawConnection(space.socket)
    let body = [UInt8](try JSONEncoder().encode(request))
    try await connection.send(
      RawConnection.request("POST", Route.imageGenerations, body: body))
    var text = ""
    while true {
      let bytes = try await connection.receive()
      text += String(decoding: bytes, as: UTF8.self)
      if let job = text.firstMatch(of: #/"job":"(job-[0-9a-z]+)"/#)?.1 {
        self.job = String(job)
        beginning = text
        return
      }
      if bytes.isEmpty { throw Self.failure(text) }
    }
  }

  /// What a whole answer without a job says.
  private static func failure(_ text: String) -> any Error {
    let answer = RawConnection.parse(text)
    if let start = answer.body.firstIndex(of: "{"), let end = answer.body.lastIndex(of: "}"),
      var error = try? JSONDecoder().decode(
        ErrorBody.self, from: Data(answer.body[start...end].utf8)
      ).error
    {
      error.retryAfterSeconds = answer.headers["retry-after"].flatMap { Int($0) }
      return BananaError.refused(error)
    }
    return BananaError.connectionLost(reason: "it ended before the job was named")
  }

  /// Everything up to the end of the answer.
  func rest() async throws -> String { beginning + (try await connection.receiveAll()) }
}
