import Dispatch
import FoundationEssentials
import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Waits for the kernel to say that memory is short.
///
/// The kernel wakes a descriptor on which a threshold was written; without the right to write one,
/// the figures are read every two seconds and compared with the same threshold.
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
  private let isStopped = Atomic(false)
  private let thread = DispatchQueue(label: "banana.pressure")

  /// Opens the first of `files` that can be read; nil when there is none.
  /// - Parameter environment: systemd names a file of its own choice in `MEMORY_PRESSURE_WATCH`,
  ///   and what to write to it, as https://systemd.io/MEMORY_PRESSURE describes.
  init?(files: [String], environment: [String: String]) {
    if let path = environment["MEMORY_PRESSURE_WATCH"] {
      let text = environment["MEMORY_PRESSURE_WRITE"].flatMap { Data(base64Encoded: $0) }
      guard path != "/dev/null", let descriptor = Self.arm(path, text.map(Array.init)) else {
        return nil
      }
      way = .kernel(descriptor: descriptor)
      return
    }
    guard let path = files.first(where: { PressureStall(file: $0) != nil }) else { return nil }
    let threshold = "some \(Self.stallMicroseconds) \(Self.windowMicroseconds)\0"
    way =
      Self.arm(path, Array(threshold.utf8)).map { .kernel(descriptor: $0) }
      ?? .polling(path: path)
  }

  deinit {
    if case .kernel(let descriptor) = way { close(descriptor) }
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
    continuation.onTermination = { _ in self.isStopped.store(true, ordering: .relaxed) }
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
    while !isStopped.load(ordering: .relaxed) {
      var entry = pollfd(fd: descriptor, events: Int16(POLLPRI), revents: 0)
      let count = systemPoll(&entry, 1, 2000)
      if count < 0, errno != EINTR { return }
      // The control group is gone.
      if count > 0, entry.revents & Int16(POLLERR) != 0 { return }
      if count > 0, entry.revents & Int16(POLLPRI) != 0 { events.yield() }
    }
  }

  private func poll(_ path: String, _ events: AsyncStream<Void>.Continuation) {
    var last = PressureStall(file: path)?.totalMicroseconds
    while !isStopped.load(ordering: .relaxed) {
      usleep(UInt32(Self.windowMicroseconds))
      guard let total = PressureStall(file: path)?.totalMicroseconds else { continue }
      if let last, total - last >= Self.stallMicroseconds { events.yield() }
      last = total
    }
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
