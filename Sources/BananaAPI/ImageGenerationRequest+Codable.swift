extension ImageGenerationRequest: Codable {
  /// The names of all fields on the wire.
  package static var fieldNames: [String] { CodingKeys.allCases.map(\.rawValue) }

  /// How the value of a field is written where every value is text.
  package enum FieldKind: Sendable {
    case text
    /// As JSON writes numbers.
    case number
    /// `true` or `false`.
    case flag
    /// A JSON list.
    case list
  }

  /// Nil for a name that is no field's.
  package static func kind(of name: String) -> FieldKind? {
    switch CodingKeys(rawValue: name) {
    case .count, .seed, .steps, .guidance, .clipSkip, .partialImages, .outputCompression,
      .deadlineSeconds:
      .number
    case .stream, .store, .provenance, .strictSize: .flag
    case .peels: .list
    case .prompt, .model, .size, .background, .style, .quality, .moderation, .user, .priority,
      .responseFormat, .outputFormat, .negativePrompt, .sampler, .spacing:
      .text
    case nil: nil
    }
  }

  private enum CodingKeys: String, CodingKey, CaseIterable {
    case prompt, model, size, background, style, seed, steps, guidance, sampler, spacing
    case stream, quality, moderation, user, peels, priority, store, provenance
    case negativePrompt = "negative_prompt"
    case clipSkip = "clip_skip"
    case count = "n"
    case partialImages = "partial_images"
    case responseFormat = "response_format"
    case outputFormat = "output_format"
    case outputCompression = "output_compression"
    case deadlineSeconds = "deadline_seconds"
    case strictSize = "strict_size"
  }

  /// - Throws: `APIError` that names the field when one is unknown, missing or of a wrong type.
  public init(from decoder: any Decoder) throws {
    let (fields, ignored) = try Self.knownFields(of: decoder)
    guard let prompt = try fields.value(String.self, .prompt, "a string of valid Unicode") else {
      throw APIError(
        .invalidRequest, "prompt is missing. Say what to draw, for example \"a red apple\".",
        param: "prompt")
    }
    self.init(prompt: prompt)
    self.ignored = ignored
    negativePrompt = try fields.text(.negativePrompt)
    model = try fields.text(.model)
    count = try fields.value(Int.self, .count, "an integer")
    size = try fields.text(.size, "a string such as \"512x512\"")
    strictSize = try fields.value(Bool.self, .strictSize, "true or false")
    background = try fields.choice(.background)
    style = try fields.text(.style)
    seed = try fields.seed(.seed)
    steps = try fields.value(Int.self, .steps, "an integer")
    guidance = try fields.value(Double.self, .guidance, "a number")
    sampler = try fields.choice(.sampler)
    spacing = try fields.choice(.spacing)
    clipSkip = try fields.value(Int.self, .clipSkip, "an integer")
    stream = try fields.value(Bool.self, .stream, "true or false")
    partialImages = try fields.value(Int.self, .partialImages, "an integer")
    responseFormat = try fields.text(.responseFormat)
    outputFormat = try fields.text(.outputFormat)
    quality = try fields.text(.quality)
    outputCompression = try fields.value(Int.self, .outputCompression, "an integer")
    moderation = try fields.text(.moderation)
    user = try fields.text(.user)
    peels = try fields.value(
      [PeelReference].self, .peels,
      "a list of names or of {\"name\": \"…\", \"strength\": 1.0}")
    let priorities = JobPriority.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: ", ")
    priority = try fields.value(JobPriority.self, .priority, "one of \(priorities)")
    deadlineSeconds = try fields.value(Double.self, .deadlineSeconds, "a number")
    store = try fields.value(Bool.self, .store, "true or false")
    provenance = try fields.value(Bool.self, .provenance, "true or false")
  }

  /// The fields that are read, and the names of those that OpenAI's API has and that mean nothing
  /// here.
  private static func knownFields(
    of decoder: any Decoder
  ) throws -> (KeyedDecodingContainer<CodingKeys>, ignored: [String]) {
    let all: KeyedDecodingContainer<AnyKey>
    do {
      all = try decoder.container(keyedBy: AnyKey.self)
    } catch {
      throw APIError(.invalidRequest, "The body must be a JSON object, {\"prompt\": \"…\"}.")
    }
    let known = Set(fieldNames)
    var ignored: [String] = []
    for key in all.allKeys.sorted(by: { $0.stringValue < $1.stringValue })
    where !known.contains(key.stringValue) {
      guard ForeignNames.ignoredFields.contains(key.stringValue) else {
        throw unknownField(key.stringValue, known: fieldNames)
      }
      if try !all.decodeNil(forKey: key) { ignored.append(key.stringValue) }
    }
    return (try decoder.container(keyedBy: CodingKeys.self), ignored)
  }

  /// The error for a field that neither API has, with a hint where another program's is meant.
  package static func unknownField(_ name: String, known: [String]) -> APIError {
    let hint = ForeignNames.hint(for: name, known: known).map { ": \($0)" } ?? ""
    return APIError(
      .invalidRequest,
      "Unknown field \"\(name.cut(64))\"\(hint). The fields are: "
        + known.sorted().joined(separator: ", ") + ".", param: name.cut(64))
  }

  public func encode(to encoder: any Encoder) throws {
    var fields = encoder.container(keyedBy: CodingKeys.self)
    try fields.encode(prompt, forKey: .prompt)
    try fields.encodeIfPresent(negativePrompt, forKey: .negativePrompt)
    try fields.encodeIfPresent(model, forKey: .model)
    try fields.encodeIfPresent(count, forKey: .count)
    try fields.encodeIfPresent(size, forKey: .size)
    try fields.encodeIfPresent(background, forKey: .background)
    try fields.encodeIfPresent(style, forKey: .style)
    try fields.encodeIfPresent(seed, forKey: .seed)
    try fields.encodeIfPresent(steps, forKey: .steps)
    try fields.encodeIfPresent(guidance, forKey: .guidance)
    try fields.encodeIfPresent(sampler, forKey: .sampler)
    try fields.encodeIfPresent(spacing, forKey: .spacing)
    try fields.encodeIfPresent(clipSkip, forKey: .clipSkip)
    try fields.encodeIfPresent(stream, forKey: .stream)
    try fields.encodeIfPresent(partialImages, forKey: .partialImages)
    try fields.encodeIfPresent(responseFormat, forKey: .responseFormat)
    try fields.encodeIfPresent(outputFormat, forKey: .outputFormat)
    try fields.encodeIfPresent(quality, forKey: .quality)
    try fields.encodeIfPresent(outputCompression, forKey: .outputCompression)
    try fields.encodeIfPresent(moderation, forKey: .moderation)
    try fields.encodeIfPresent(user, forKey: .user)
    try fields.encodeIfPresent(peels, forKey: .peels)
    try fields.encodeIfPresent(priority, forKey: .priority)
    try fields.encodeIfPresent(deadlineSeconds, forKey: .deadlineSeconds)
    try fields.encodeIfPresent(store, forKey: .store)
    try fields.encodeIfPresent(provenance, forKey: .provenance)
    try fields.encodeIfPresent(strictSize, forKey: .strictSize)
  }
}

extension KeyedDecodingContainer {
  /// The value at `key`, or nil when it is absent or null.
  fileprivate func value<Value: Decodable>(
    _ type: Value.Type, _ key: Key, _ expected: String
  ) throws -> Value? {
    do {
      return try decodeIfPresent(type, forKey: key)
    } catch {
      throw APIError(
        .invalidRequest, "\(key.stringValue) must be \(expected).", param: key.stringValue)
    }
  }

  /// A text at `key`, or nil when it is absent, null or empty: front ends send what nobody chose as
  /// an empty text.
  fileprivate func text(
    _ key: Key, _ expected: String = "a string of valid Unicode"
  ) throws -> String? {
    let text = try value(String.self, key, expected)
    return text?.isEmpty == true ? nil : text
  }

  /// One of some names, or nil as with `text`.
  fileprivate func choice<Choice: Decodable & CaseIterable & RawRepresentable<String>>(
    _ key: Key
  ) throws -> Choice? {
    let names = Choice.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: ", ")
    guard try text(key, "one of \(names)") != nil else { return nil }
    return try value(Choice.self, key, "one of \(names)")
  }

  /// A seed, or nil when it is absent, null or -1, by which other programs mean any.
  fileprivate func seed(_ key: Key) throws -> UInt64? {
    if let seed = try? decodeIfPresent(Int.self, forKey: key), seed == -1 { return nil }
    return try value(
      UInt64.self, key, "an integer between 0 and 18446744073709551615, or -1 for a random one")
  }
}
