import BananaAPI
import BananaServer
import BananaTesting
import FoundationEssentials
import Logging
import ServiceLifecycle
import Serving
import Synchronization
import Testing
import UnixSignals

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Starting, stopping, and what a daemon does when things are missing.
@Suite(.timeLimit(.minutes(5))) struct DaemonTests {
  @Test func serves1000ConnectionsAtOnce() async throws {
    let configuration = DaemonConfiguration(
      waitingJobs: 500, quotas: .off, connectionsPerUser: 2000)
    try await TestDaemon.serving(configuration: configuration) { daemon async throws in
      var connections: [RawConnection] = []
      for _ in 0..<1000 { connections.append(try RawConnection(daemon.socketPath)) }
      // All of them are open before the first is used.
      let body = Array(#"{"prompt":"p"}"#.utf8)
      for connection in connections {
        try await connection.send(RawConnection.request("POST", Route.imageGenerations, body: body))
      }
      var drawn = 0
      for connection in connections {
        let answer = RawConnection.parse(try await connection.receiveAll())
        if answer.status == 200, answer.body.contains("b64_json") { drawn += 1 }
        // There are more clients than places to wait.
        if answer.status != 200 { #expect(answer.body.contains(#""code":"busy""#)) }
      }
      #expect(drawn >= 501)
      #expect(try await daemon.isAlive)
    }
  }

  @Test func refusesToServeWhereAnotherDoes() async throws {
    try await TestDaemon.serving { daemon async throws in
      let path = daemon.socketPath
      let error = #expect(throws: ListenerError.self) { try Listener.bind(path: path) }
      #expect(error == .alreadyServed(path: path))
      #expect(error?.description.contains("nother bananad is serving on \(path)") == true)
      #expect(try await daemon.isAlive)
    }
  }

  @Test func replacesTheSocketOfADeadDaemon() async throws {
    try await TemporaryFolder.with { folder async throws in
      let path = folder + "/b.sock"
      close(try Listener.bind(path: path).descriptor)
      #expect(throws: RawConnection.Failed.self) { try RawConnection(path) }
      let daemon = try TestDaemon(socketPath: path) { _, _ in FakeEngine() }
      #expect(try await daemon.isAlive)
      try await daemon.stop()
    }
  }

  @Test func keepsWhatIsNoSocket() async throws {
    try await TemporaryFolder.with { folder async throws in
      let path = folder + "/b.sock"
      try Data("mine".utf8).write(to: URL(filePath: path))
      #expect(throws: ListenerError.notASocket(path: path)) { try Listener.bind(path: path) }
      #expect(FileManager.default.contents(atPath: path) == Data("mine".utf8))
    }
  }

  @Test func makesTheSocketForOwnerAndGroup() async throws {
    try await TemporaryFolder.with { folder async throws in
      let path = folder + "/new/b.sock"
      let listener = try Listener.bind(path: path)
      defer { close(listener.descriptor) }
      let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions]
      #expect(mode as? Int == 0o660 || mode as? UInt == 0o660)
      // The file of a daemon that came after is not removed.
      unlink(path)
      try Data().write(to: URL(filePath: path))
      listener.removeFile()
      #expect(FileManager.default.fileExists(atPath: path))
    }
  }

  @Test func saysWhatIsWrongWithAPath() throws {
    let long = "/tmp/" + String(repeating: "x", count: 120)
    #expect(throws: ListenerError.pathTooLong(path: long, actualBytes: 125, maximumBytes: 107)) {
      try Listener.bind(path: long)
    }
    let error = #expect(throws: ListenerError.self) {
      try Listener.bind(path: "/nowhere/at/all/b.sock")
    }
    #expect(error?.description.contains("--socket") == true)
  }

  // The environment and descriptors belong to the whole process, so this has one of its own.
  @Test func adoptsOnlySocketsThatAreMeantForIt() async {
    await #expect(processExitsWith: .success) {
      func adopt(_ environment: [String: String]) throws {
        for descriptor: Int32 in 3...4 where fcntl(descriptor, F_GETFD) < 0 {
          dup2(open("/dev/null", O_RDONLY), descriptor)
        }
        for (name, value) in environment { setenv(name, value, 1) }
        _ = try Listeners.open(path: "/nowhere/at/all/b.sock", adminPath: nil)
      }
      let pid = "\(getpid())"
      // Meant for another process: the path counts.
      try #require(
        throws: ListenerError.system(call: "mkdir", errno: ENOENT, path: "/nowhere/at/all/b.sock")
      ) {
        try adopt(["LISTEN_FDS": "1", "LISTEN_PID": "1"])
      }
      for names in ["a:b", "admin:admin"] {
        try #require(throws: ListenerError.badActivation(reason: "2 sockets were handed over")) {
          try adopt(["LISTEN_FDS": "2", "LISTEN_PID": pid, "LISTEN_FDNAMES": names])
        }
      }
      for wrong in [["LISTEN_FDS": "2", "LISTEN_FDNAMES": "a"], ["LISTEN_FDS": "x"]] {
        let wrong = wrong.merging(["LISTEN_PID": pid]) { $1 }
        try #require(throws: ListenerError.badActivation(reason: "LISTEN_FDS: Invalid argument")) {
          try adopt(wrong)
        }
      }
    }
  }

  @Test func keepsTheAdminSocketForItsOwner() async throws {
    try await TestDaemon.serving { daemon async throws in
      let facts = try FileManager.default.attributesOfItem(atPath: daemon.adminSocketPath)
      let mode = facts[.posixPermissions]
      #expect(mode as? Int == 0o600 || mode as? UInt == 0o600)
      let answer = try await RawConnection(daemon.adminSocketPath).exchange("GET", Route.health)
      #expect(answer.status == 200)
    }
  }

  @Test func livesWithoutAModelAndTakesItWhenItComes() async throws {
    struct Missing: Error, CustomStringConvertible {
      var description: String { "models/sticker/model.json is missing. Run make models." }
    }
    let isThere = Mutex(false)
    let box = Box(isThere: isThere)
    let configuration = DaemonConfiguration(modelRetryInterval: .zero)
    let makeEngine: @Sendable () throws -> any PictureEngine = {
      if box.isThere.withLock({ $0 }) { return FakeEngine() }
      throw Missing()
    }
    try await TestDaemon.serving(
      configuration: configuration, makeEngine: makeEngine
    ) { daemon async throws in
      func get(_ path: String) async throws -> RawConnection.Answer {
        try await RawConnection(daemon.socketPath).exchange("GET", path)
      }
      #expect(try await get("/healthz").status == 200)
      let ready = try await get("/readyz")
      #expect(ready.status == 503)
      #expect(ready.body.contains("model.json is missing. Run make models."))
      let refused = try await post(#"{"prompt":"p"}"#, to: daemon)
      #expect(refused.status == 503)
      #expect(refused.body.contains(#""code":"model_unavailable""#))
      #expect(refused.body.contains("Run make models."))
      #expect(try await get("/v1/models").body.contains(#""status":"unavailable""#))
      #expect(try await get("/v1/status").body.contains(#""status":"unavailable""#))

      box.isThere.withLock { $0 = true }
      #expect(try await post(#"{"prompt":"p"}"#, to: daemon).status == 200)
      #expect(try await get("/readyz").status == 200)
      #expect(try await get("/v1/status").body.contains(#""status":"available""#))
    }
  }

  private final class Box: Sendable {
    let isThere: Mutex<Bool>
    init(isThere: consuming sending Mutex<Bool>) { self.isThere = isThere }
  }

  @Test func finishesTheRunningJobAndTurnsTheOthersAway() async throws {
    let engine = FakeEngine(isHeld: true)
    try await TemporaryFolder.with { folder async throws in
      let path = folder + "/b.sock"
      let daemon = try TestDaemon(socketPath: path) { _, _ in engine }
      let idle = try RawConnection(path)
      let request = RawConnection.request(
        "POST", Route.imageGenerations, body: Array(#"{"prompt":"p"}"#.utf8))
      let running = try RawConnection(path)
      try await running.send(request)
      #expect(await eventually { engine.record.requests.count == 1 })
      let waiting = try RawConnection(path)
      try await waiting.send(request)
      #expect(
        try await eventually {
          try await RawConnection(path).exchange("GET", Route.status).body
            .contains(#""queue_depth":1"#)
        })
      await daemon.beginStopping()
      let refused = RawConnection.parse(try await waiting.receiveAll())
      #expect(refused.status == 503)
      #expect(refused.body.contains(#""code":"shutting_down""#))
      engine.release()
      #expect(RawConnection.parse(try await running.receiveAll()).status == 200)
      try await daemon.stop()
      #expect(engine.record.finished == 1)
      #expect(!FileManager.default.fileExists(atPath: path))
      #expect(try await idle.receiveAll().isEmpty)
    }
  }

  /// More than a socket takes at once, for a client that does not read while the daemon stops.
  @Test(arguments: [true, false])
  func aSlowClientGetsItsWholeAnswerFromADaemonThatStops(_ isStreamed: Bool) async throws {
    let engine = FakeEngine(isHeld: true, drawsPixels: true)
    // A busy machine may take long to write that much.
    let configuration = DaemonConfiguration(closingGrace: .seconds(100))
    try await TestDaemon.serving(engine, configuration: configuration) { daemon async throws in
      let body = #"{"prompt": "p", "n": 4, "stream": \#(isStreamed)}"#
      let slow = try RawConnection(daemon.socketPath)
      try await slow.send(
        "POST \(Route.imageGenerations) HTTP/1.1\r\nHost: x\r\n"
          + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)")
      #expect(await eventually { engine.record.requests.count == 1 })
      await daemon.beginStopping()
      engine.release()
      #expect(await eventually { engine.record.finished == 1 })
      try await Task.sleep(for: .milliseconds(300))
      let answer = try await slow.receiveAll()
      let mark = isStreamed ? #""type":"image_generation.completed""# : #""b64_json""#
      #expect(answer.ranges(of: mark).count == 4)
      let isWhole = isStreamed ? answer.hasSuffix("\r\n0\r\n\r\n") : answer.hasSuffix("}")
      #expect(isWhole)
    }
  }

  /// The same when the whole answer was written before the daemon stops, and is not in the socket.
  @Test(arguments: [true, false])
  func anAnswerOutlivesItsJob(_ isStreamed: Bool) async throws {
    let engine = FakeEngine(drawsPixels: true)
    let configuration = DaemonConfiguration(closingGrace: .seconds(100))
    try await TestDaemon.serving(engine, configuration: configuration) { daemon async throws in
      let body = #"{"prompt": "p", "n": 4, "stream": \#(isStreamed)}"#
      let slow = try RawConnection(daemon.socketPath)
      try await slow.send(
        "POST \(Route.imageGenerations) HTTP/1.1\r\nHost: x\r\n"
          + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)")
      #expect(await eventually { engine.record.finished == 1 })
      try await Task.sleep(for: .milliseconds(300))
      await daemon.beginStopping()
      try await Task.sleep(for: .milliseconds(300))
      let answer = try await slow.receiveAll()
      #expect(isStreamed ? answer.hasSuffix("\r\n0\r\n\r\n") : answer.hasSuffix("}"))
    }
  }

  /// Stopping must not wait for the other end of an answer that nobody reads.
  @Test func doesNotWaitForeverForAClientThatNeverReads() async throws {
    let configuration = DaemonConfiguration(closingGrace: .milliseconds(50))
    let engine = FakeEngine(isHeld: true, drawsPixels: true)
    try await TestDaemon.serving(engine, configuration: configuration) { daemon async throws in
      let deaf = try RawConnection(daemon.socketPath)
      let body = Array(#"{"prompt": "p", "n": 4}"#.utf8)
      try await deaf.send(RawConnection.request("POST", Route.imageGenerations, body: body))
      #expect(await eventually { engine.record.requests.count == 1 })
      engine.release()
      #expect(await eventually { engine.record.finished == 1 })
      let start = ContinuousClock.now
      try await daemon.stop()
      #expect(ContinuousClock.now - start < .seconds(100))
      _ = try await deaf.receive()
    }
  }

  @Test func doesNotWaitForeverForAClientThatStopsInTheMiddle() async throws {
    let configuration = DaemonConfiguration(closingGrace: .milliseconds(50))
    try await TestDaemon.serving(configuration: configuration) { daemon async throws in
      let stuck = try RawConnection(daemon.socketPath)
      try await stuck.send(
        "POST \(Route.imageGenerations) HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
      #expect(try await daemon.isAlive)
      // Stopping, at the end of this scope, is what must not hang.
      try await daemon.stop()
      #expect(try await stuck.receiveAll().contains("200") == false)
    }
  }

  @Test func closesIdleConnections() async throws {
    let configuration = DaemonConfiguration(idleTimeout: .milliseconds(50))
    try await TestDaemon.serving(configuration: configuration) { daemon async throws in
      let idle = try RawConnection(daemon.socketPath)
      #expect(try await idle.receiveAll().isEmpty)
    }
  }

  /// The same with a real process and a real signal.
  @Test func exitsWith0OnSIGTERM() async throws {
    await #expect(processExitsWith: .success) {
      let engine = FakeEngine(isHeld: true)
      try await TemporaryFolder.with { folder async throws in
        let path = folder + "/b.sock"
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let daemon = Daemon(
          listener: try Listener.bind(path: path), logger: logger,
          list: { [InstalledModel(of: engine)] }, peelCheck: { _ in { try engine.check($0) } },
          opener: { _, _ in engine })
        let services = ServiceGroup(
          configuration: .init(
            services: [daemon], gracefulShutdownSignals: [.sigterm, .sigint], logger: logger))
        let client = Task {
          _ = await eventually { FileManager.default.fileExists(atPath: path) }
          let connection = try RawConnection(path)
          try await connection.send(
            RawConnection.request(
              "POST", Route.imageGenerations, body: Array(#"{"prompt":"p"}"#.utf8)))
          _ = await eventually { engine.record.requests.count == 1 }
          kill(getpid(), SIGTERM)
          _ = await eventually { !FileManager.default.fileExists(atPath: path) }
          engine.release()
          return RawConnection.parse(try await connection.receiveAll()).status
        }
        try await services.run()
        let status = try await client.value
        precondition(status == 200 && engine.record.finished == 1)
      }
    }
  }
}
