/// What can be set on a daemon.
package struct DaemonConfiguration: Sendable {
  /// Jobs that may wait beside the one that runs; one more is answered with `busy`.
  package var waitingJobs: Int
  /// How long connections may stay open after the last job when the daemon stops.
  package var closingGrace: Duration
  /// How long a connection may stay open without a request, or in the middle of sending one.
  package var idleTimeout: Duration
  /// A model that could not be opened is tried again at most this often.
  package var modelRetryInterval: Duration
  /// Folder for what outlives the daemon: installed peels.
  package var stateDirectory: String
  /// Folder with the peels that came with Banana; nil when there is none.
  package var peelsDirectory: String?
  /// Peels that one user may install.
  package var peelLimits: PeelRegistry.Limits

  package init(
    waitingJobs: Int = 32, closingGrace: Duration = .seconds(5),
    idleTimeout: Duration = .seconds(120), modelRetryInterval: Duration = .seconds(5),
    stateDirectory: String = "/var/lib/banana", peelsDirectory: String? = nil,
    peelLimits: PeelRegistry.Limits = .init()
  ) {
    self.waitingJobs = waitingJobs
    self.closingGrace = closingGrace
    self.idleTimeout = idleTimeout
    self.modelRetryInterval = modelRetryInterval
    self.stateDirectory = stateDirectory
    self.peelsDirectory = peelsDirectory
    self.peelLimits = peelLimits
  }
}
