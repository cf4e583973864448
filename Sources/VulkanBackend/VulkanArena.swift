import Execution

/// An arena in a device's own memory.
final class VulkanArena: Arena {
  private let device: VulkanDevice
  private(set) var slice: DeviceSlice?
  private(set) var runCount = 0

  init(_ device: VulkanDevice) { self.device = device }

  var byteCount: Int { slice?.byteCount ?? 0 }

  func countRun() { runCount += 1 }

  func release() {
    countRun()
    slice = nil
  }

  /// Memory of `byteCount` bytes at least; what was in it is lost if it has to grow, and what was
  /// recorded over it has to be recorded again.
  func reserve(_ byteCount: Int) throws(ExecutionError) -> DeviceSlice {
    if let slice, slice.byteCount >= byteCount { return slice }
    // First, so that never both are held.
    slice = nil
    let grown = try device.memory.allocate(byteCount)
    slice = grown
    return grown
  }
}
