/// Which jobs go first. A job that waits long moves up, so that none waits for ever.
public enum JobPriority: String, Codable, Sendable, CaseIterable {
  case interactive, normal, background
}

/// The answer to `GET /v1/jobs`: the caller's own jobs, or everybody's by the admin socket.
public struct JobList: Codable, Sendable, Equatable {
  /// Always `"list"`.
  public var object = "list"
  /// In the order in which they came.
  public var data: [JobInfo]

  public init(data: [JobInfo]) {
    self.data = data
  }
}

/// One job, as `GET /v1/jobs/{id}` shows it. What was asked for is told to nobody.
public struct JobInfo: Codable, Sendable, Equatable {
  public enum State: String, Codable, Sendable, CaseIterable {
    case waiting, running
    /// Was cancelled and ends with its next step.
    case cancelling
    /// The pictures can be fetched.
    case finished
    /// Was cancelled or failed; `error` says why.
    case failed
  }

  public var id: String
  /// Always `"job"`.
  public var object = "job"
  public var state: State
  public var uid: UInt32
  public var priority: JobPriority
  /// Seconds since 1970.
  public var createdAt: Int
  /// `"512x512"`.
  public var size: String
  public var pictures: Int
  public var steps: Int
  public var isStored: Bool
  /// Jobs that are drawn before this one; nil unless it waits.
  public var jobsAhead: Int?
  /// Nil until the engine has spoken.
  public var progress: GenerationProgress?
  public var error: APIError?

  public init(
    id: String, state: State, uid: UInt32, priority: JobPriority, createdAt: Int, size: String,
    pictures: Int, steps: Int, isStored: Bool
  ) {
    self.id = id
    self.state = state
    self.uid = uid
    self.priority = priority
    self.createdAt = createdAt
    self.size = size
    self.pictures = pictures
    self.steps = steps
    self.isStored = isStored
  }

  private enum CodingKeys: String, CodingKey {
    case id, object, state, uid, priority, size, pictures, steps, progress, error
    case createdAt = "created_at"
    case isStored = "store"
    case jobsAhead = "jobs_ahead"
  }
}
