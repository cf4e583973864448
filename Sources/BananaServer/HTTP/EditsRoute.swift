import BananaAPI
import HTTPTypes
import Hummingbird
import NIOPosix

/// `POST /v1/images/edits`.
extension DaemonRoutes {
  func editImages(_ request: Request, _ context: DaemonRequestContext) async throws -> Response {
    let arrival = ContinuousClock.now
    let limits = await scheduler.configuration
    let parts = try await parts(of: request, limit: limits.editBodyBytes)
    let form = try EditForm(parts)
    // Decoding is work; the threads that serve sockets have other things to do.
    let edit = try await NIOThreadPool.singleton.runIfActive {
      try form.edit(maximumPixels: limits.editPixels)
    }
    return try await draw(form.request, edit: edit, arrival: arrival, context)
  }

  private func parts(of request: Request, limit: Int) async throws -> [FormPart] {
    var wrong: MultipartError?
    do {
      var parser = try MultipartParser(contentType: request.headers[.contentType] ?? "")
      try await request.body.forEachChunk(upTo: limit, "Send smaller pictures.") { chunk in
        // What is wrong is read to its end, so that the client gets to listen.
        guard wrong == nil else { return }
        do throws(MultipartError) {
          try parser.append(chunk.readableBytesView)
        } catch { wrong = error }
      }
      if let wrong { throw wrong }
      return try parser.finish()
    } catch let error as MultipartError {
      if case .fieldTooLarge(let name, _) = error {
        throw APIError(.requestTooLarge, "\(error)", param: name)
      }
      throw APIError(.invalidRequest, "\(error)")
    }
  }
}
