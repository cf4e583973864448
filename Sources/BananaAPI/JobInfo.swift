/// Which of a user's jobs go first. A job that waits long moves up, so that none waits for ever.
/// Between users it matters little, and none keeps others from their share.
public enum JobPriority: String, Codable, Sendable, CaseIterable {
  /// A person waits for the picture. It costs its user double.
  case interactive
  /// What a request has that says nothing.
  case normal
  /// Whenever there is nothing else of the user's to do.
  case background
}

/// The answer to `GET /v1/jobs`: the caller's own jobs, or everybody's by the admin socket.
public struct JobList: Codable, Sendable, Equatable {
  /// Always `"list"`.
  public var object = "list"
  /// In the order in which they came.
  public var data: [JobInfo]

  /// A list of these jobs.
  public init(data: [JobInfo]) {
    self.data = data
  }
}

/// One job, as `GET /v1/jobs/{id}` shows it. What was asked for is told to nobody.
public struct JobInfo: Codable, Sendable, Equatable {
  /// How far a job has come.
  public enum State: String, Codable, Sendable, CaseIterable {
    /// In the queue; one that has `progress` goes on when others have had their turn.
    case waiting
    /// Being drawn.
    case running
    /// Was cancelled and ends with its next step.
    case cancelling
    /// The pictures can be fetched.
    case finished
    /// Was cancelled or failed; `error` says why.
    case failed
  }

  /// The job's name in `/v1/jobs/{id}`.
  public var id: String
  /// Always `"job"`.
  public var object = "job"
  /// Whether it waits or is drawn.
  public var state: State
  /// The user whose job it is.
  public var uid: UInt32
  /// How urgent its request is.
  public var priority: JobPriority
  /// Seconds since 1970.
  public var createdAt: Int
  /// `"512x512"`.
  public var size: String
  /// Pictures that were asked for.
  public var pictures: Int
  /// Denoising steps of each picture.
  public var steps: Int
  /// Its answer can be fetched for a while after it ended.
  public var isStored: Bool
  /// Jobs that are drawn before this one; nil unless it waits.
  public var jobsAhead: Int?
  /// Nil until the engine has spoken.
  public var progress: GenerationProgress?
  /// Why it failed; nil while it has not.
  public var error: APIError?

  /// A job; every argument is the property of its name.
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
