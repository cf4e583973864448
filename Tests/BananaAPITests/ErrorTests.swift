import BananaAPI
import FoundationEssentials
import Testing

@Suite struct ErrorTests {
  @Test(arguments: ErrorCode.allCases)
  func everyCodeIsAnHTTPError(_ code: ErrorCode) {
    #expect((400...599).contains(code.httpStatus))
    #expect(["invalid_request_error", "rate_limit_error", "server_error"].contains(code.type))
    if case .after(let seconds) = code.retry { #expect(seconds > 0) }
  }

  @Test func hasTheWireFormOfOpenAI() throws {
    let body = ErrorBody(APIError(.invalidRequest, "No.", param: "size"))
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    let text = String(decoding: try encoder.encode(body), as: UTF8.self)
    #expect(
      text == #"{"error":{"code":"invalid_request","message":"No.","param":"size","#
        + #""type":"invalid_request_error"}}"#)
  }

  @Test func givesAdvice() {
    #expect(APIError(.busy, "").retryAfterSeconds == 5)
    #expect(APIError(.busy, "", retryAfterSeconds: 17).retryAfterSeconds == 17)
    #expect(APIError(.invalidRequest, "").retryAfterSeconds == nil)
  }

  @Test func readsCodesOfALaterVersion() throws {
    let text = #"{"error":{"code":"on_strike","message":"No.","type":"x","param":null}}"#
    let body = try JSONDecoder().decode(ErrorBody.self, from: Data(text.utf8))
    #expect(body.error == APIError(.internalError, "No."))
  }
}
