package import Graph
package import TensorTypes

/// An arena in host memory.
package final class HostArena: Arena {
  private var buffer: HostBuffer?
  package private(set) var runCount = 0

  package init() {}

  package var byteCount: Int { buffer?.bytes.count ?? 0 }

  package func countRun() { runCount += 1 }

  package func release() {
    countRun()
    buffer = nil
  }

  /// The arena's memory, `byteCount` bytes at least; what was in it is lost if it has to grow.
  package func reserve(_ byteCount: Int) throws(ExecutionError) -> UnsafeMutableRawBufferPointer {
    if let buffer, buffer.bytes.count >= byteCount { return buffer.bytes }
    // First, so that never both are held.
    buffer = nil
    let grown = try HostBuffer(planned: byteCount)
    buffer = grown
    return grown.bytes
  }
}

/// An executable whose values are in host memory.
package protocol HostExecutable: Executable {
  var inputs: HostBuffer { get }
  var hostArena: HostArena { get }
}

extension HostExecutable {
  package var arena: any Arena { hostArena }

  package func write(_ bytes: UnsafeRawBufferPointer, to input: Value, at offset: Int) {
    let place = plan[input]
    precondition(place.region == .inputs && offset + bytes.count <= place.byteCount)
    guard let target = inputs.bytes.baseAddress, let source = bytes.baseAddress else { return }
    (target + place.offset + offset).copyMemory(from: source, byteCount: bytes.count)
  }

  package func withContents(of value: Value, _ body: (UnsafeRawBufferPointer) -> Void) {
    let place = plan[value]
    switch place.region {
    case .inputs: body(UnsafeRawBufferPointer(rebasing: inputs.bytes[place.offset..<place.end]))
    case .arena:
      hostArena.withBytes { body(UnsafeRawBufferPointer(rebasing: $0[place.offset..<place.end])) }
    }
  }
}

extension HostArena {
  fileprivate func withBytes(_ body: (UnsafeMutableRawBufferPointer) -> Void) {
    guard let buffer else { preconditionFailure("the arena was given back") }
    body(buffer.bytes)
  }
}

extension HostBuffer {
  /// Allocates what a plan needs.
  package convenience init(planned byteCount: Int) throws(ExecutionError) {
    do throws(OutOfMemory) { try self.init(allocating: byteCount) } catch {
      throw .outOfMemory(error)
    }
  }
}
