/// The answer to `GET /v1/status`.
public struct DaemonStatus: Codable, Sendable, Equatable {
  /// The model of requests that name none.
  public struct Model: Codable, Sendable, Equatable {
    /// Nil when no model could be opened.
    public var id: String?
    /// Whether pictures can be drawn with it.
    public var status: ModelStatus
    /// Why it is not available.
    public var reason: String?

    /// What is known of the model; every argument is the property of its name.
    public init(id: String?, status: ModelStatus, reason: String?) {
      self.id = id
      self.status = status
      self.reason = reason
    }
  }

  /// One of the models that are installed.
  public struct InstalledModel: Codable, Sendable, Equatable {
    /// The name that requests give.
    public var id: String
    /// Whether pictures can be drawn with it.
    public var status: ModelStatus
    /// Whether it is in memory.
    public var state: ModelState
    /// What is done of its opening, 0 to 1; nil for what is not being opened.
    public var progress: Double?
    /// Why it cannot be used, or was not opened; nil for what can.
    public var reason: String?
    /// Whether it draws for requests that name no model.
    public var isDefault: Bool
    /// Of its files.
    public var weightBytes: Int

    /// What is known of a model; every argument is the property of its name.
    public init(
      id: String, status: ModelStatus, state: ModelState, progress: Double? = nil,
      reason: String? = nil, isDefault: Bool, weightBytes: Int
    ) {
      self.id = id
      self.status = status
      self.state = state
      self.progress = progress
      self.reason = reason
      self.isDefault = isDefault
      self.weightBytes = weightBytes
    }

    private enum CodingKeys: String, CodingKey {
      case id, status, state, progress, reason
      case isDefault = "is_default"
      case weightBytes = "weight_bytes"
    }
  }

  /// A job that is being drawn.
  public struct RunningJob: Codable, Sendable, Equatable {
    /// The job's name in `/v1/jobs/{id}`.
    public var id: String
    /// Since the drawing began.
    public var elapsedSeconds: Double
    /// Nil until the engine has spoken.
    public var progress: GenerationProgress?

    /// A job under way; every argument is the property of its name.
    public init(id: String, elapsedSeconds: Double, progress: GenerationProgress?) {
      self.id = id
      self.elapsedSeconds = elapsedSeconds
      self.progress = progress
    }

    private enum CodingKeys: String, CodingKey {
      case id, progress
      case elapsedSeconds = "elapsed_seconds"
    }
  }

  /// What the daemon has of the machine's memory, and what is left.
  public struct Memory: Codable, Sendable, Equatable {
    /// Of the daemon's process; nil where the system does not tell.
    public var residentBytes: Int?
    /// Free for new work on the machine; nil where the system does not tell.
    public var availableBytes: Int?

    /// What the system tells of memory; nil where it does not.
    public init(residentBytes: Int?, availableBytes: Int?) {
      self.residentBytes = residentBytes
      self.availableBytes = availableBytes
    }

    private enum CodingKeys: String, CodingKey {
      case residentBytes = "resident_bytes"
      case availableBytes = "available_bytes"
    }
  }

  /// Whether the daemon can tell the caller from other users.
  public enum Identity: String, Codable, Sendable, CaseIterable {
    /// By a uid of its own.
    case own
    /// Yes, but all users that have no uid where the daemon runs come with one.
    case partial
    /// No: others come with the caller's uid, so that it has no private peels, no list of jobs and
    /// no answers that are kept.
    case shared
  }

  /// The daemon's version.
  public var version: String
  /// The daemon's process.
  public var pid: Int
  /// Since the daemon started.
  public var uptimeSeconds: Double
  /// The path of the socket for apps.
  public var socket: String
  /// The model of requests that name none.
  public var model: Model
  /// All that are installed, by name; nil from a daemon that does not say.
  public var models: [InstalledModel]?
  /// What computes; nil without a model.
  public var backend: String?
  /// Jobs that wait.
  public var queueDepth: Int
  /// Jobs that may wait.
  public var queueCapacity: Int
  /// Jobs that are being drawn, in one batch.
  public var runningJobs: Int
  /// The first of them that is the caller's own, or anybody's by the admin socket.
  public var running: RunningJob?
  /// Jobs of the caller that ended with pictures since the daemon started; by the admin socket
  /// everybody's.
  public var finishedJobs: Int
  /// Connections of the caller, the asking one included; by the admin socket everybody's.
  public var connections: Int
  /// Memory of the daemon and of the machine.
  public var memory: Memory
  /// Heat, and what it does to drawing.
  public var thermal: ThermalStatus
  /// Whether the daemon can tell the caller from others; nil from a daemon that does not say.
  public var identity: Identity?

  /// Everything that the daemon tells; every argument is the property of its name.
  public init(
    version: String, pid: Int, uptimeSeconds: Double, socket: String, model: Model,
    models: [InstalledModel]? = nil, backend: String?, queueDepth: Int, queueCapacity: Int,
    runningJobs: Int,
    running: RunningJob?, finishedJobs: Int, connections: Int, memory: Memory,
    thermal: ThermalStatus, identity: Identity? = nil
  ) {
    self.version = version
    self.pid = pid
    self.uptimeSeconds = uptimeSeconds
    self.socket = socket
    self.model = model
    self.models = models
    self.backend = backend
    self.queueDepth = queueDepth
    self.queueCapacity = queueCapacity
    self.runningJobs = runningJobs
    self.running = running
    self.finishedJobs = finishedJobs
    self.connections = connections
    self.memory = memory
    self.thermal = thermal
    self.identity = identity
  }

  private enum CodingKeys: String, CodingKey {
    case version, pid, socket, model, models, backend, running, connections, memory, thermal,
      identity
    case uptimeSeconds = "uptime_seconds"
    case queueDepth = "queue_depth"
    case queueCapacity = "queue_capacity"
    case runningJobs = "running_jobs"
    case finishedJobs = "finished_jobs"
  }
}

/// The version of daemon and client.
public enum BananaVersion {
  /// The version that this library was built as, such as `0.1.0`.
  public static let current = "0.1.0"
}
