package import BananaAPI

/// What can be set on a daemon; all of it can be changed while it runs, except the first group.
package struct DaemonConfiguration: Sendable, Equatable {
  /// How long connections may stay open after the last job when the daemon stops.
  package var closingGrace: Duration
  /// How long a connection may stay open without a request, in the middle of sending one, or of
  /// reading an answer.
  package var idleTimeout: Duration
  /// A model that could not be opened is tried again at most this often.
  package var modelRetryInterval: Duration
  /// Folders with the model packages.
  package var modelFolders: ModelFolders
  /// Folder for what outlives the daemon: installed peels.
  package var stateDirectory: String
  /// Folder with the peels that came with Banana; nil when there is none.
  package var peelsDirectory: String?
  /// What one user may install, and the admin for all.
  package var peelLimits: PeelRegistry.Limits
  /// What the engine may use while nothing is too hot.
  package var limits: EngineLimits
  /// Where the kernel tells of the machine's heat.
  package var sysfsRoot: String
  /// How many times faster than the clock heat is governed, for simulations.
  package var thermalClockRate: Double
  /// After so long without a job the engine gives its memory back; zero is never.
  package var idleUnload: Duration

  /// The uid of a forwarder, whose clients all come with it and are strangers to each other.
  package var forwarderUID: Int?

  /// Jobs that may wait beside those that run; one more is answered with `busy`.
  package var waitingJobs: Int
  /// How long a job waits until it counts as one priority better.
  package var ageing: Duration
  package var quotas: Quotas
  /// How long the answers of stored jobs are kept.
  package var resultSeconds: Int
  /// Bytes of all answers that are kept.
  package var resultBytes: Int
  /// Connections that one user may have open.
  package var connectionsPerUser: Int
  /// Bytes of bodies and answers that are on their way, of all users together.
  package var transferBytes: Int
  /// Pixels of an image to edit.
  package var editPixels: Int
  package var modelAliases: ModelAliases
  /// The model of requests that name none; nil is the only one, or the one called sticker.
  package var defaultModel: String?

  /// Bytes that the images of waiting edits may hold, a quarter of them those of one account.
  package var waitingImageBytes: Int
  /// How long a turn of the engine lasts while others wait, beside the step that is under way.
  package var turn: Duration

  /// Bytes of the body of an edit: an image that cannot be compressed, and the rest of the form.
  package var editBodyBytes: Int { 4 * editPixels + 64 << 10 }

  package init(
    waitingJobs: Int = 32, closingGrace: Duration = .seconds(5),
    idleTimeout: Duration = .seconds(120), modelRetryInterval: Duration = .seconds(5),
    modelFolders: ModelFolders = .init(others: ["models"]),
    stateDirectory: String = "/var/lib/banana",
    peelsDirectory: String? = nil,
    peelLimits: PeelRegistry.Limits = .init(),
    limits: EngineLimits = .init(batch: 1, threads: 1, pace: 1), sysfsRoot: String = "/sys",
    thermalClockRate: Double = 1,
    idleUnload: Duration = .seconds(300), ageing: Duration = .seconds(30),
    quotas: Quotas = .init(), resultSeconds: Int = 600, resultBytes: Int = 64 << 20,
    connectionsPerUser: Int = 256, transferBytes: Int = 128 << 20,
    editPixels: Int = 2048 * 2048, modelAliases: ModelAliases = .init(),
    defaultModel: String? = nil, forwarderUID: Int? = nil,
    waitingImageBytes: Int = 256 << 20, turn: Duration = .milliseconds(500)
  ) {
    self.waitingJobs = waitingJobs
    self.closingGrace = closingGrace
    self.idleTimeout = idleTimeout
    self.modelRetryInterval = modelRetryInterval
    self.modelFolders = modelFolders
    self.stateDirectory = stateDirectory
    self.peelsDirectory = peelsDirectory
    self.peelLimits = peelLimits
    self.limits = limits
    self.sysfsRoot = sysfsRoot
    self.thermalClockRate = thermalClockRate
    self.idleUnload = idleUnload
    self.ageing = ageing
    self.quotas = quotas
    self.resultSeconds = resultSeconds
    self.resultBytes = resultBytes
    self.connectionsPerUser = connectionsPerUser
    self.transferBytes = transferBytes
    self.editPixels = editPixels
    self.modelAliases = modelAliases
    self.defaultModel = defaultModel
    self.forwarderUID = forwarderUID
    self.waitingImageBytes = waitingImageBytes
    self.turn = turn
  }
}
