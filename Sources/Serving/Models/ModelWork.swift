import Dispatch
import Synchronization

/// A thread for work on models' files, away from every thread that answers requests.
final class ModelWork: Sendable {
  private let queue: DispatchQueue

  init(_ label: String) {
    queue = DispatchQueue(label: label, qos: .utility)
  }

  func run<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
      queue.async { continuation.resume(with: Result(catching: body)) }
    }
  }

  /// Lets engines go, which may unmap gigabytes.
  func discard(_ engines: [any PictureEngine]) async {
    if engines.isEmpty { return }
    let box = Box(engines)
    await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
      queue.async {
        box.empty()
        Allocator.trim()
        continuation.resume()
      }
    }
  }

  private final class Box: Sendable {
    private let engines: Mutex<[any PictureEngine]>

    init(_ engines: [any PictureEngine]) { self.engines = Mutex(engines) }

    func empty() { engines.withLock { $0.removeAll() } }
  }
}
