import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A child process in a group of its own, whose standard input ends when this process does.
final class ChildProcess: Sendable {
  private enum State {
    case running
    case ended
  }

  private let pid: pid_t
  /// Our end of the child's standard input: held, never written to.
  private let lifeline: Int32
  private let state = Mutex(State.running)

  private init(pid: pid_t, lifeline: Int32) {
    self.pid = pid
    self.lifeline = lifeline
  }

  deinit {
    close(lifeline)
  }

  /// Starts `arguments[0]` with its output going to the file at `outputPath`.
  static func spawn(_ arguments: [String], outputPath: String) throws -> ChildProcess {
    var ends: [Int32] = [0, 0]
    guard pipe(&ends) == 0 else { throw failure(arguments[0], errno) }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    defer { close(ends[0]) }

    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, ends[0], STDIN_FILENO)
    let flags = O_WRONLY | O_CREAT | O_TRUNC
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, outputPath, flags, 0o600)
    posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO)

    // A group of its own: Ctrl-C is for us, and we stop the child ourselves. Signals that we trap,
    // or that the thread pool's threads block, must be at their defaults in it.
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var defaults = sigset_t()
    sigemptyset(&defaults)
    for signal in [SIGINT, SIGTERM, SIGPIPE] { sigaddset(&defaults, signal) }
    posix_spawnattr_setsigdefault(&attributes, &defaults)
    var nothing = sigset_t()
    sigemptyset(&nothing)
    posix_spawnattr_setsigmask(&attributes, &nothing)
    let wanted = POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK
    posix_spawnattr_setflags(&attributes, Int16(wanted))

    var pid = pid_t()
    let argv = arguments.map { strdup($0) } + [nil]
    defer { for argument in argv { free(argument) } }
    let error = posix_spawn(&pid, arguments[0], &actions, &attributes, argv, environ)
    guard error == 0 else {
      close(ends[1])
      throw failure(arguments[0], error)
    }
    return ChildProcess(pid: pid, lifeline: ends[1])
  }

  /// False once the child has ended; it is reaped then.
  var isRunning: Bool {
    state.withLock { state in
      guard case .running = state else { return false }
      var status: Int32 = 0
      if waitpid(pid, &status, WNOHANG) == 0 { return true }
      state = .ended
      return false
    }
  }

  /// Sends SIGTERM.
  func terminate() {
    state.withLock { if case .running = $0 { _ = systemKill(pid, SIGTERM) } }
  }

  /// Sends SIGKILL to a child that still runs, and reaps it.
  func kill() {
    state.withLock { state in
      guard case .running = state else { return }
      _ = systemKill(pid, SIGKILL)
      var status: Int32 = 0
      while waitpid(pid, &status, 0) < 0, errno == EINTR {}
      state = .ended
    }
  }

  private static func failure(_ executable: String, _ error: Int32) -> Failure {
    Failure(
      code: .other,
      message: "\(executable) cannot be started: \(SystemReason.text(error)).")
  }
}

/// `kill(2)`, under a name that the type's own `kill` does not hide.
private func systemKill(_ pid: pid_t, _ signal: Int32) -> Int32 {
  kill(pid, signal)
}
