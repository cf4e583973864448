import CVulkan
import Execution
import Synchronization
import TensorTypes

/// Memory of one kind on one device: large blocks, each one buffer, of which slices are given out.
///
/// Devices allow few allocations (4,096, or less), and each one is slow.
final class DeviceHeap: Sendable {
  /// Slices start at multiples of it, which is what devices ask for at most.
  static let alignment = 256
  /// What is smaller shares a block.
  static let blockBytes = 16 << 20

  private let kind: Kind
  private let state = Mutex(HeapState())
  private nonisolated(unsafe) let device: OpaquePointer

  /// What a heap's memory is for.
  struct Kind: Sendable {
    let required: VkMemoryPropertyFlags
    let preferred: VkMemoryPropertyFlags
  }

  /// - Parameter device: It outlives the heap.
  init(_ device: OpaquePointer, _ kind: Kind) {
    self.device = device
    self.kind = kind
  }

  static func aligned(_ byteCount: Int) -> Int {
    (max(byteCount, 1) + alignment - 1) / alignment * alignment
  }

  /// - Throws: `ExecutionError.outOfMemory`.
  func allocate(_ byteCount: Int) throws(ExecutionError) -> DeviceSlice {
    let size = Self.aligned(byteCount)
    // A struct that C has made crosses no isolation but the lock's.
    let found = state.withLock { state -> Result<SlicePlace, ExecutionError> in
      if let place = state.take(size) { return .success(place) }
      let blockBytes = size > Self.blockBytes / 4 ? size : Self.blockBytes
      var block = banana_vulkan_block()
      let status = banana_vulkan_allocate(
        device, UInt64(blockBytes), kind.required, kind.preferred, &block)
      guard status == VK_SUCCESS else {
        return .failure(ExecutionError(status, neededBytes: blockBytes))
      }
      return .success(state.add(HeapBlock(block, byteCount: blockBytes), taking: size))
    }
    return DeviceSlice(self, try found.get(), byteCount: size)
  }

  fileprivate func free(_ place: SlicePlace, byteCount: Int) {
    state.withLock { state in
      guard let empty = state.give(place, byteCount: byteCount) else { return }
      banana_vulkan_free(device, empty)
    }
  }

  /// Blocks that are held, and bytes of them.
  var blocks: (count: Int, byteCount: Int) {
    state.withLock { ($0.blocks.count, $0.blocks.values.reduce(0) { $0 + $1.byteCount }) }
  }
}

/// A part of a heap's buffer, given back when the last owner lets go.
final class DeviceSlice: Sendable {
  let byteCount: Int
  private let heap: DeviceHeap
  private let place: SlicePlace

  fileprivate init(_ heap: DeviceHeap, _ place: SlicePlace, byteCount: Int) {
    self.heap = heap
    self.place = place
    self.byteCount = byteCount
  }

  deinit { heap.free(place, byteCount: byteCount) }

  var buffer: VkBuffer? { place.buffer }
  /// Bytes from the buffer's start.
  var offset: Int { place.offset }

  /// Where the host sees it; nil where it does not.
  var mapped: UnsafeMutableRawBufferPointer? {
    place.mapped.map { UnsafeMutableRawBufferPointer(start: $0 + offset, count: byteCount) }
  }
}

private struct SlicePlace: @unchecked Sendable {
  let block: Int
  let offset: Int
  let buffer: VkBuffer?
  let mapped: UnsafeMutableRawPointer?
}

/// One buffer, and what of it is free, in order and never adjoining.
private struct HeapBlock {
  let block: banana_vulkan_block
  let byteCount: Int
  var free: [Range<Int>]

  init(_ block: banana_vulkan_block, byteCount: Int) {
    self.block = block
    self.byteCount = byteCount
    free = [0..<byteCount]
  }

  /// The lowest place that is large enough.
  mutating func take(_ size: Int) -> Int? {
    guard let index = free.firstIndex(where: { $0.count >= size }) else { return nil }
    let offset = free[index].lowerBound
    if free[index].count == size {
      free.remove(at: index)
    } else {
      free[index] = offset + size..<free[index].upperBound
    }
    return offset
  }

  mutating func give(_ range: Range<Int>) {
    var range = range
    var index = free.firstIndex { $0.lowerBound >= range.upperBound } ?? free.count
    if index < free.count, free[index].lowerBound == range.upperBound {
      range = range.lowerBound..<free.remove(at: index).upperBound
    }
    if index > 0, free[index - 1].upperBound == range.lowerBound {
      index -= 1
      range = free.remove(at: index).lowerBound..<range.upperBound
    }
    free.insert(range, at: index)
  }
}

private struct HeapState: @unchecked Sendable {
  var blocks: [Int: HeapBlock] = [:]
  private var nextBlock = 0

  init() {}

  mutating func take(_ size: Int) -> SlicePlace? {
    for key in blocks.keys.sorted() {
      if let offset = blocks[key]?.take(size) { return place(key, offset) }
    }
    return nil
  }

  mutating func add(_ block: HeapBlock, taking size: Int) -> SlicePlace {
    let key = nextBlock
    nextBlock += 1
    blocks[key] = block
    return place(key, blocks[key]?.take(size) ?? 0)
  }

  /// - Returns: A block of which nothing is used any more.
  mutating func give(_ place: SlicePlace, byteCount: Int) -> banana_vulkan_block? {
    blocks[place.block]?.give(place.offset..<place.offset + byteCount)
    guard let block = blocks[place.block], block.free == [0..<block.byteCount] else { return nil }
    blocks[place.block] = nil
    return block.block
  }

  private func place(_ key: Int, _ offset: Int) -> SlicePlace {
    SlicePlace(
      block: key, offset: offset, buffer: blocks[key]?.block.buffer,
      mapped: blocks[key]?.block.mapped)
  }
}
