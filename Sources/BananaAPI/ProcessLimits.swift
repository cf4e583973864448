#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// What the system lets this process have, looked at before a library needs it: those end the
/// process, or wait for ever, where threads or descriptors are short.
package enum ProcessLimits {
  /// Opens what is closed of standard input, output and error, so that no file and no socket gets
  /// its number. It is opened the wrong way round: reading and writing fail as before.
  package static func occupyStandardStreams() {
    for descriptor: Int32 in [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO]
    where fcntl(descriptor, F_GETFD) < 0 {
      // The lowest number that is free is this one.
      _ = open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY)
    }
  }

  /// Processors that this process may run on.
  package static var processors: Int { max(Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))), 1) }

  /// Raises what can be raised, and says in one line what is too little for this process.
  /// - Parameters:
  ///   - descriptors: Files and sockets that have to be open at a time.
  ///   - threads: Threads that the libraries start.
  package static func shortage(descriptors: Int, threads: Int) -> String? {
    var limit = rlimit()
    if getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 {
      if limit.rlim_max < rlim_t(descriptors) {
        return "Only \(limit.rlim_max) files may be open at a time, and \(descriptors) have to be. "
          + "Raise it with ulimit -n \(descriptors), or LimitNOFILE= in the unit."
      }
      if limit.rlim_cur < rlim_t(descriptors) {
        limit.rlim_cur = rlim_t(descriptors)
        _ = setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
      }
    }
    let started = startable(threads)
    if started == threads { return nil }
    return "Only \(started) more threads may be started, and \(threads) have to be. Raise it with "
      + "ulimit -u, or TasksMax= in the unit."
  }

  /// How many of so many threads can run at a time: they are started, and end.
  private static func startable(_ count: Int) -> Int {
    let gate = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)
    defer { gate.deallocate() }
    guard sem_init(gate, 0, 0) == 0 else { return count }
    var threads: [pthread_t] = []
    for _ in 0..<count {
      var thread = pthread_t()
      let error = pthread_create(
        &thread, nil,
        { gate in
          if let gate { while sem_wait(gate.assumingMemoryBound(to: sem_t.self)) != 0 {} }
          return nil
        }, gate)
      guard error == 0 else { break }
      threads.append(thread)
    }
    for _ in threads { sem_post(gate) }
    for thread in threads { pthread_join(thread, nil) }
    sem_destroy(gate)
    return threads.count
  }
}
