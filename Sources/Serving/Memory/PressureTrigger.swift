import Dispatch
import FoundationEssentials

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Waits for the kernel to say that memory is short.
///
/// The kernel wakes a descriptor on which a threshold was written; without the right to write one,
/// the figures are read now and then and compared with the same share of the time.
final class PressureTrigger: Sendable {
  /// Stalls of this many microseconds, summed over the tasks, …
  static let stallMicroseconds = 150_000
  /// … within this many are pressure. Without CAP_SYS_RESOURCE the kernel takes multiples of two
  /// seconds only.
  static let windowMicroseconds = 2_000_000

  private enum Way: Sendable {
    case kernel(descriptor: Int32)
    case polling(path: String)
  }

  private let way: Way
  private let pollMilliseconds: Int32
  /// A pipe that holds a byte once nobody wants events any more.
  private let stop: (reading: Int32, writing: Int32)
  private let thread = DispatchQueue(label: "banana.pressure")

  /// Opens the first of `files` that can be read; nil when there is none.
  /// - Parameters:
  ///   - environment: systemd names a file of its own choice in `MEMORY_PRESSURE_WATCH`, and what
  ///     to write to it, as https://systemd.io/MEMORY_PRESSURE describes.
  ///   - pollInterval: How often the figures are read where that is the way.
  init?(files: [String], environment: [String: String], pollInterval: Duration) {
    guard let way = Self.way(files, environment) else { return nil }
    self.way = way
    pollMilliseconds = Int32(pollInterval / .milliseconds(1))
    stop = Self.makePipe()
  }

  private static func way(_ files: [String], _ environment: [String: String]) -> Way? {
    if let path = environment["MEMORY_PRESSURE_WATCH"] {
      let text = environment["MEMORY_PRESSURE_WRITE"].flatMap { Data(base64Encoded: $0) }
      guard path != "/dev/null" else { return nil }
      return arm(path, text.map(Array.init)).map { .kernel(descriptor: $0) }
    }
    guard let path = files.first(where: { PressureStall(file: $0) != nil }) else { return nil }
    let threshold = "some \(stallMicroseconds) \(windowMicroseconds)\0"
    return arm(path, Array(threshold.utf8)).map { .kernel(descriptor: $0) } ?? .polling(path: path)
  }

  deinit {
    if case .kernel(let descriptor) = way { close(descriptor) }
    close(stop.reading)
    close(stop.writing)
  }

  /// For the log.
  var description: String {
    switch way {
    case .kernel: "the kernel's trigger"
    case .polling(let path): "reading \(path)"
    }
  }

  /// One element for each time that memory was short, until the stream is let go.
  func events() -> AsyncStream<Void> {
    let (stream, continuation) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
    continuation.onTermination = { _ in _ = write(self.stop.writing, [1], 1) }
    thread.async {
      switch self.way {
      case .kernel(let descriptor): self.wait(on: descriptor, continuation)
      case .polling(let path): self.poll(path, continuation)
      }
      continuation.finish()
    }
    return stream
  }

  private func wait(on descriptor: Int32, _ events: AsyncStream<Void>.Continuation) {
    while true {
      var entries = [
        pollfd(fd: descriptor, events: Int16(POLLPRI), revents: 0),
        pollfd(fd: stop.reading, events: Int16(POLLIN), revents: 0),
      ]
      if systemPoll(&entries, 2, -1) < 0, errno != EINTR { return }
      // The control group is gone.
      if entries[1].revents != 0 || entries[0].revents & Int16(POLLERR) != 0 { return }
      if entries[0].revents & Int16(POLLPRI) != 0 { events.yield() }
    }
  }

  private func poll(_ path: String, _ events: AsyncStream<Void>.Continuation) {
    let stallMicroseconds =
      Self.stallMicroseconds * Int(pollMilliseconds) * 1000 / Self.windowMicroseconds
    var last = PressureStall(file: path)?.totalMicroseconds
    while true {
      var entry = pollfd(fd: stop.reading, events: Int16(POLLIN), revents: 0)
      if systemPoll(&entry, 1, pollMilliseconds) < 0, errno != EINTR { return }
      if entry.revents != 0 { return }
      guard let total = PressureStall(file: path)?.totalMicroseconds else { continue }
      if let last, total - last >= stallMicroseconds { events.yield() }
      last = total
    }
  }

  private static func makePipe() -> (reading: Int32, writing: Int32) {
    var ends: [Int32] = [-1, -1]
    // Without it (no descriptors left) the thread waits until the process ends.
    _ = pipe(&ends)
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    return (ends[0], ends[1])
  }

  private static func arm(_ path: String, _ threshold: [UInt8]?) -> Int32? {
    let descriptor = open(path, (threshold == nil ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { return nil }
    // Files of the kernel have no size; a plain file in their place can wake nobody.
    let isKernels = lseek(descriptor, 0, SEEK_END) <= 0
    let isArmed = threshold.map { isKernels && write(descriptor, $0, $0.count) == $0.count }
    guard isKernels, isArmed ?? true else {
      close(descriptor)
      return nil
    }
    return descriptor
  }
}

extension PressureStall {
  fileprivate init?(file path: String) {
    guard let text = KernelFile.text(path) else { return nil }
    self.init(parsing: text)
  }
}

/// `poll(2)`, under a name that the type's own `poll` does not hide.
private func systemPoll(
  _ entries: UnsafeMutablePointer<pollfd>, _ count: nfds_t, _ milliseconds: Int32
) -> Int32 {
  poll(entries, count, milliseconds)
}
