import BananaAPI
import Diffusion
import HTTPTypes
import Hummingbird

/// `POST /v1/images/edits`.
extension DaemonRoutes {
  func editImages(_ request: Request, _ context: DaemonRequestContext) async throws -> Response {
    let arrival = ContinuousClock.now
    let parts = try await parts(of: request)
    let maximumPixels = await scheduler.configuration.editPixels
    let form = try await unmetered(context) { try EditForm(parts) }
    return try await draw(form.request, arrival: arrival, context) {
      try form.addImages(to: &$0, maximumPixels: maximumPixels)
    }
  }

  private func parts(of request: Request) async throws -> [FormPart] {
    var wrong: MultipartError?
    do {
      var parser = try MultipartParser(contentType: request.headers[.contentType] ?? "")
      for try await chunk in request.body {
        // What is wrong is read to its end, so that the client gets to listen.
        guard wrong == nil else { continue }
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
