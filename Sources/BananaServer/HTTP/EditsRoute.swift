import BananaAPI
import Diffusion
import HTTPTypes
import Hummingbird
import NIOCore
import Serving

/// `POST /v1/images/edits`.
extension DaemonRoutes {
  func editImages(_ request: Request, _ context: DaemonRequestContext) async throws -> Response {
    return try await draw(preparedEdit(request, context), context)
  }

  private func preparedEdit(
    _ request: Request, _ context: DaemonRequestContext
  ) async throws -> PreparedRequest {
    let arrival = ContinuousClock.now
    let contentType = request.headers[.contentType] ?? ""
    // To its end, whatever is wrong with it, so that the client gets to listen.
    let body = try await request.body.bytes()
    let maximumPixels = await scheduler.configuration.editPixels
    let form = try await unmetered(context) {
      try EditForm(Self.parts(of: body, contentType: contentType))
    }
    return try await prepared(form.request, arrival: arrival, context) {
      try form.addImages(to: &$0, maximumPixels: maximumPixels)
    }
  }

  private static func parts(
    of body: ByteBuffer, contentType: String
  ) throws(APIError) -> [FormPart] {
    do throws(MultipartError) {
      var parser = try MultipartParser(contentType: contentType)
      var rest = body
      // A little at a time: what the parser has taken is moved out of the way of what it has not.
      while let slice = rest.readSlice(length: min(rest.readableBytes, 64 << 10)),
        slice.readableBytes > 0
      {
        try parser.append(slice.readableBytesView)
      }
      return try parser.finish()
    } catch {
      if case .fieldTooLarge(let name, _) = error {
        throw APIError(.requestTooLarge, "\(error)", param: name)
      }
      throw APIError(.invalidRequest, "\(error)")
    }
  }
}
