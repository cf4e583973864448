import BananaAPI
import BananaSDK
import BananaTesting
import Foundation

extension OrderlyClient {
  func listJobs() async {
    let answer = await attempt("list jobs") { [client] in try await client.jobs() }
    guard case .success(let jobs) = answer else { return }
    report.looks += 1
    for job in jobs where job.uid != uid {
      report.strangersSeen += 1
      fail("the list of jobs shows \(job.id) of user \(job.uid)")
    }
  }

  /// Tries to see and to end a job of another client, and to draw with its peel.
  func snoop(on other: Int) async {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: space.ids)) ?? []
    let parts = names.first { $0.hasPrefix("\(other)-") }?.split(separator: "-") ?? []
    guard parts.count == 2, let owner = UInt32(parts[1]), owner != uid,
      let bytes = FileManager.default.contents(atPath: "\(space.ids)/\(other)-\(owner)")
    else { return }
    let job = String(decoding: bytes, as: UTF8.self)
    await mustNotFind("see another's job", .jobNotFound) { try await $0.job(job).id }
    await mustNotFind("fetch another's job", .jobNotFound) {
      try await $0.result(ofJob: job).model
    }
    await mustNotFind("cancel another's job", .jobNotFound) { try await $0.cancelJob(job).id }
    let peel = Self.peelName(uid: owner, client: other)
    await mustNotFind("see another's peel", .peelNotFound) { try await $0.peel(peel).name }
    await mustNotFind("draw with another's peel", .peelNotFound) { [kinds] client in
      var request = kinds[RequestKind.smallest].request
      request.peels = [.init(name: peel)]
      return try await client.generate(request).model
    }
  }

  private func mustNotFind(
    _ action: String, _ code: ErrorCode,
    _ body: @escaping @Sendable (BananaClient) async throws -> String
  ) async {
    report.looks += 1
    let answer = await attempt(action, expecting: [code]) { [client] in try await body(client) }
    guard case .success(let found) = answer else { return }
    report.strangersSeen += 1
    fail("\(action): found \(found)")
  }

  /// Sends bytes as they are.
  /// - Parameter code: What it must be refused with, unless there is no room for anything; nil is a
  ///   success.
  func raw(
    _ action: String, _ method: String, _ path: String, _ body: [UInt8]? = nil,
    expecting code: ErrorCode?
  ) async {
    _ = await attempt(action) { [space] in
      let answer = try await RawConnection(space.socket).exchange(method, path, body: body)
      if answer.status == 0 { throw BananaError.connectionLost(reason: "no answer") }
      let error = Self.errorCode(in: answer.body)
      if let error, error != code, [.shuttingDown, .busy, .quotaExceeded].contains(error) {
        var refusal = APIError(error, "")
        refusal.retryAfterSeconds = answer.headers["retry-after"].flatMap { Int($0) }
        throw BananaError.refused(refusal)
      }
      guard error == code, answer.status == code?.httpStatus ?? 200 else {
        throw Mismatch(
          what: "\(method) \(path) is answered with \(answer.status), "
            + "\(error?.rawValue ?? "no error") and not \(code?.rawValue ?? "200")")
      }
    }
  }

  private static func errorCode(in body: String) -> ErrorCode? {
    // In chunks or not.
    guard let start = body.firstIndex(of: "{"), let end = body.lastIndex(of: "}") else {
      return nil
    }
    let json = Data(body[start...end].utf8)
    return try? JSONDecoder().decode(ErrorBody.self, from: json).error.code
  }
}
