import BananaTesting
import Dispatch
import FoundationEssentials
import Logging
import Serving
import Synchronization
import Testing

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The end of the socket that systemd holds.
private final class NotifySocket: Sendable {
  let descriptor: Int32

  /// - Parameter name: A path, or a name after `@`.
  init(_ name: String) {
    descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_NONBLOCK.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    var bytes = Array(name.utf8)
    if bytes[0] == UInt8(ascii: "@") { bytes[0] = 0 }
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
    let length = socklen_t(MemoryLayout<sockaddr_un>.offset(of: \.sun_path)! + bytes.count)
    let result = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, length) }
    }
    precondition(result == 0)
  }

  deinit { close(descriptor) }

  /// The next message, or nil when there is none now.
  func receive() -> String? {
    var buffer = [UInt8](repeating: 0, count: 4096)
    let count = recv(descriptor, &buffer, buffer.count, 0)
    return count > 0 ? String(decoding: buffer[..<count], as: UTF8.self) : nil
  }
}

/// What was sent to a service manager.
private final class Mailbox: Sendable {
  private let messages = Mutex<[String]>([])

  func put(_ message: String) -> Bool {
    messages.withLock { $0.append(message) }
    return true
  }

  func receive() -> String? { messages.withLock { $0.isEmpty ? nil : $0.removeFirst() } }

  func next() async -> String? {
    var message: String?
    _ = await eventually {
      message = receive()
      return message != nil
    }
    return message
  }
}

/// An engine on a thread of its own, which can be held up.
private actor HangingEngine {
  nonisolated private let queue = DispatchQueue(label: "engine")
  nonisolated private let executor: QueueExecutor
  nonisolated private let gate = DispatchSemaphore(value: 0)

  nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

  init() { executor = QueueExecutor(queue) }

  nonisolated func hang() { queue.async { self.gate.wait() } }
  nonisolated func wake() { gate.signal() }
}

private final class QueueExecutor: SerialExecutor {
  private let queue: DispatchQueue

  init(_ queue: DispatchQueue) { self.queue = queue }

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    let executor = asUnownedSerialExecutor()
    queue.async { job.runSynchronously(on: executor) }
  }
}

@Suite struct SystemdTests {
  // The environment belongs to the whole process, so that each of these has a process of its own.
  @Test func notifiesAPathAndAnAbstractName() async throws {
    await #expect(processExitsWith: .success) {
      try await TemporaryFolder.with { folder in
        for name in [folder + "/notify", "@banana-test-\(UInt32.random(in: 0...UInt32.max))"] {
          let socket = NotifySocket(name)
          setenv("NOTIFY_SOCKET", name, 1)
          let notifier = try #require(ServiceNotifier())
          try #require(notifier.send("READY=1", "STATUS=well"))
          try #require(socket.receive() == "READY=1\nSTATUS=well")
        }
      }
    }
  }

  @Test func staysSilentWithoutASocket() async {
    await #expect(processExitsWith: .success) {
      unsetenv("NOTIFY_SOCKET")
      try #require(ServiceNotifier() == nil)
      for nobody in ["", "relative", "@", "/nowhere/s", "/" + String(repeating: "x", count: 200)] {
        setenv("NOTIFY_SOCKET", nobody, 1)
        try #require(ServiceNotifier()?.send("READY=1") != true)
      }
    }
  }

  @Test(arguments: [
    ("30000000", nil, 30.0), ("30000000", "1", nil), ("0", nil, nil), ("x", nil, nil),
    (nil, nil, nil),
  ])
  func readsTheWatchdogsTime(microseconds: String?, pid: String?, seconds: Double?) async {
    await #expect(processExitsWith: .success) { [microseconds, pid, seconds] in
      setenv("NOTIFY_SOCKET", "/s", 1)
      if let microseconds { setenv("WATCHDOG_USEC", microseconds, 1) }
      if let pid { setenv("WATCHDOG_PID", pid, 1) }
      let notifier = try #require(ServiceNotifier())
      try #require(notifier.watchdogInterval == seconds.map { .seconds($0) })
    }
  }

  @Test func journalEntriesHaveFieldsToSearch() {
    let handler = JournalLogHandler(label: "bananad")
    let event = LogEvent(
      level: .notice, message: "job finished",
      metadata: [
        "job": "job-1", "model": "sticker", "uid": "1000", "queue seconds": "0.5\nA=1",
      ], source: nil, file: #fileID, function: #function, line: #line)
    #expect(
      handler.fields(of: event) == [
        "MESSAGE=job finished job=job-1 model=sticker queue seconds=0.5\nA=1 uid=1000",
        "PRIORITY=5", "SYSLOG_IDENTIFIER=bananad", "JOB_ID=job-1", "MODEL=sticker",
        "BANANA_QUEUE_SECONDS=0.5\nA=1", "UID=1000",
      ])
    #expect(!JournalLogHandler.isConnected)
  }

  @Test func feedsTheWatchdogUntilTheEngineHangs() async throws {
    let socket = Mailbox()
    let notifier = ServiceNotifier(watchdogInterval: .milliseconds(60)) { socket.put($0) }
    let activity = EngineActivity()
    let watch = EngineWatch(activity: activity, limit: .seconds(2))
    let service = SystemdService(notifier: notifier, watch: watch, logger: silentLogger) {
      activity.isIdle ? "idle\nREADY=0" : "drawing"
    }
    try await running(service) {
      #expect(await socket.next() == "READY=1")
      #expect(await socket.next() == "WATCHDOG=1")
      #expect(await socket.next() == "STATUS=idle READY=0")
      activity.begin()
      #expect(await eventually { socket.receive() == "STATUS=drawing" })
      #expect(await eventually { socket.receive() == "STATUS=The engine hangs." })
      try await Task.sleep(for: .milliseconds(100))
      #expect(socket.receive() == nil)
      activity.advance()
      #expect(await eventually { socket.receive() == "WATCHDOG=1" })
      activity.end()
    }
    #expect(await eventually { socket.receive()?.hasPrefix("STOPPING=1") == true })
  }

  @Test func jobMustGetAhead() {
    let start = ContinuousClock.now
    let activity = EngineActivity(at: start)
    let watch = EngineWatch(activity: activity, limit: .seconds(10))
    activity.begin(at: start)
    #expect(watch.isAlive(at: start + .seconds(10)))
    #expect(!watch.isAlive(at: start + .seconds(11)))
    activity.advance(at: start + .seconds(11))
    #expect(watch.isAlive(at: start + .seconds(20)))
    activity.end(at: start + .seconds(20))
    #expect(watch.isAlive(at: start + .seconds(1000)))
  }

  @Test func idleEngineMustAnswer() async {
    let start = ContinuousClock.now
    let activity = EngineActivity(at: start)
    let watch = EngineWatch(activity: activity, limit: .seconds(10))
    let engine = HangingEngine()
    engine.hang()
    watch.watch(engine)
    #expect(watch.isAlive(at: start + .seconds(100)))
    #expect(watch.isAlive(at: start + .seconds(110)))
    #expect(!watch.isAlive(at: start + .seconds(111)))
    // The answer waits rightly while a job runs, and for a while after it.
    activity.begin(at: start + .seconds(111))
    activity.end(at: start + .seconds(120))
    #expect(watch.isAlive(at: start + .seconds(130)))
    #expect(!watch.isAlive(at: start + .seconds(131)))
    engine.wake()
    #expect(await eventually { watch.isAlive(at: start + .seconds(500)) })
  }
}
