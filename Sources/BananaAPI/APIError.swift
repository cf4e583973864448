/// An error as it goes over the wire: `{"error": {"code", "message", "type", "param"}}`.
public struct APIError: Error, Sendable, Equatable {
  /// What went wrong, for programs.
  public var code: ErrorCode
  /// What is wrong and what to do, for a person.
  public var message: String
  /// The request's field that is at fault.
  public var param: String?
  /// When to try again, in seconds; nil when trying again cannot help.
  public var retryAfterSeconds: Int?

  /// An error with the words for it.
  /// - Parameters:
  ///   - code: What went wrong, for programs.
  ///   - message: What is wrong and what to do, for a person.
  ///   - param: The request's field that is at fault.
  ///   - retryAfterSeconds: Replaces the code's own advice.
  public init(
    _ code: ErrorCode, _ message: String, param: String? = nil, retryAfterSeconds: Int? = nil
  ) {
    self.code = code
    self.message = message
    self.param = param
    if let retryAfterSeconds {
      self.retryAfterSeconds = retryAfterSeconds
    } else if case .after(let seconds) = code.retry {
      self.retryAfterSeconds = seconds
    }
  }
}

extension APIError: CustomStringConvertible {
  public var description: String { message }
}

/// The JSON body of every answer that is an error.
public struct ErrorBody: Codable, Sendable {
  /// What went wrong.
  public var error: APIError

  /// The body that carries `error`.
  public init(_ error: APIError) {
    self.error = error
  }
}

extension APIError: Codable {
  private enum CodingKeys: String, CodingKey {
    case code, message, type, param
  }

  /// A code that this version does not know is read as `internalError`.
  public init(from decoder: any Decoder) throws {
    let fields = try decoder.container(keyedBy: CodingKeys.self)
    let code = try fields.decodeIfPresent(String.self, forKey: .code).flatMap(ErrorCode.init)
    self.init(
      code ?? .internalError, try fields.decode(String.self, forKey: .message),
      param: try fields.decodeIfPresent(String.self, forKey: .param))
  }

  public func encode(to encoder: any Encoder) throws {
    var fields = encoder.container(keyedBy: CodingKeys.self)
    try fields.encode(code.rawValue, forKey: .code)
    try fields.encode(message, forKey: .message)
    try fields.encode(code.type, forKey: .type)
    // OpenAI's clients read the key, so it is there even when it is null.
    try fields.encode(param, forKey: .param)
  }
}
