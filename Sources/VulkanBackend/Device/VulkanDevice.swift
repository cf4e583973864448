import CVulkan
package import Execution
import Synchronization
import TensorTypes

/// What of a device is used. Less than it has makes it behave as a poorer one, which is how tests
/// know that those work.
package struct DeviceForm: Hashable, Sendable {
  /// Signed bytes are multiplied by the device's own instruction.
  package var usesIntegerDot: Bool
  /// The host does not see the device's memory, so that inputs and outputs are copied.
  package var isStaged: Bool
  /// Bytes that a shader may see of a buffer.
  package var bufferRangeBytes: Int

  /// All that the device has.
  package init(_ facts: DeviceFacts) {
    usesIntegerDot = facts.features.contains(.integerDot)
    // A graphics card's memory is slow to write and to read from here.
    isStaged = !facts.isHostVisible || facts.kind == .discrete
    bufferRangeBytes = facts.bufferRangeBytes
  }
}

/// A device that is open: its memory, and the pipelines that were made on it. Several threads may
/// use it.
package final class VulkanDevice: @unchecked Sendable {
  package let facts: DeviceFacts
  package let form: DeviceForm
  let handle: OpaquePointer
  /// The device's own memory.
  let memory: DeviceHeap
  /// Memory that the host sees; the same heap where that is the device's own.
  let hostMemory: DeviceHeap
  /// It outlives the device.
  private let instance: VulkanInstance
  private let queue = Mutex(())
  private let pipelines: Mutex<PipelineTable>
  /// By the number of buffers.
  private let layouts: [banana_vulkan_layout]

  /// - Parameters:
  ///   - form: All that the device has, if nil.
  ///   - cacheFolder: Where compiled pipelines are kept; nowhere if nil.
  /// - Precondition: The instance has the device.
  /// - Throws: `ExecutionError` if the driver refuses.
  package init(
    _ facts: DeviceFacts, of instance: VulkanInstance, form: DeviceForm? = nil,
    cacheFolder: String? = nil
  ) throws(ExecutionError) {
    if let lack = facts.lack { throw .unsupported(op: facts.name, reason: lack) }
    let form = form ?? DeviceForm(facts)
    self.facts = facts
    self.form = form
    self.instance = instance
    var described = banana_vulkan_facts()
    guard banana_vulkan_describe(instance.handle, UInt32(facts.index), &described) else {
      preconditionFailure("another instance has \(facts.name)")
    }
    var opened: OpaquePointer?
    let status = banana_vulkan_open_device(
      instance.handle, UInt32(facts.index), &described, form.usesIntegerDot, &opened)
    guard status == VK_SUCCESS, let opened else { throw ExecutionError(status) }
    handle = opened
    hostMemory = DeviceHeap(opened, .host)
    memory = DeviceHeap(opened, form.isStaged ? .device : .shared)
    do throws(ExecutionError) {
      layouts = try Self.makeLayouts(opened)
      pipelines = Mutex(try PipelineTable(opened, facts, cacheFolder: cacheFolder))
    } catch {
      banana_vulkan_close_device(opened)
      throw error
    }
  }

  deinit {
    pipelines.withLock { $0.free(handle) }
    for layout in layouts { banana_vulkan_free_layout(handle, layout) }
    banana_vulkan_close_device(handle)
  }

  private static func makeLayouts(
    _ handle: OpaquePointer
  ) throws(ExecutionError) -> [banana_vulkan_layout] {
    var made: [banana_vulkan_layout] = []
    for count in 0...ShaderCode.mostBuffers {
      var layout = banana_vulkan_layout()
      let status = banana_vulkan_make_layout(
        handle, UInt32(count), UInt32(ShaderCode.mostArgumentBytes), &layout)
      guard status == VK_SUCCESS else {
        for layout in made { banana_vulkan_free_layout(handle, layout) }
        throw ExecutionError(status)
      }
      made.append(layout)
    }
    return made
  }

  func layout(buffers: Int) -> banana_vulkan_layout { layouts[buffers] }

  /// The shader compiled with these specialization constants, once for all that want it.
  func pipeline(
    _ shader: ShaderCode, _ constants: [UInt32], buffers: Int
  ) throws(ExecutionError) -> VkPipeline? {
    let key = PipelineKey(shader: shader, constants: constants)
    let layout = layouts[buffers]
    return try pipelines.withLock { table throws(ExecutionError) in
      CompiledPipeline(try table.pipeline(key, layout, handle))
    }.handle
  }

  /// Writes what has been compiled since it was last written.
  func keepPipelines() { pipelines.withLock { $0.keep(handle) } }

  /// Submits, one after another, and waits until all is done.
  func run(
    _ commands: [VkCommandBuffer?], _ recording: banana_vulkan_recording
  ) throws(ExecutionError) {
    var status = queue.withLock { _ in
      banana_vulkan_submit(handle, recording, commands, UInt32(commands.count))
    }
    if status == VK_SUCCESS { status = banana_vulkan_wait(handle, recording) }
    guard status == VK_SUCCESS else { throw ExecutionError(status) }
  }

  /// Fills a slice of the device's own memory, by copying where the host does not see it.
  func upload(
    _ byteCount: Int, to slice: DeviceSlice, _ fill: (UnsafeMutableRawBufferPointer) -> Void
  ) throws(ExecutionError) {
    if let mapped = slice.mapped {
      return fill(UnsafeMutableRawBufferPointer(rebasing: mapped[..<byteCount]))
    }
    let staging = try hostMemory.allocate(byteCount)
    guard let mapped = staging.mapped else { preconditionFailure("the host sees its memory") }
    fill(UnsafeMutableRawBufferPointer(rebasing: mapped[..<byteCount]))
    let recorder = try Recorder(self, sets: 0, buffers: 0)
    let copy = try recorder.record { $0.copy(from: staging, 0, to: slice, 0, byteCount) }
    try run([copy], recorder.recording)
  }
}

extension DeviceHeap.Kind {
  private static let visible = VkMemoryPropertyFlags(
    VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT.rawValue | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT.rawValue)
  private static let local = VkMemoryPropertyFlags(VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT.rawValue)
  private static let cached = VkMemoryPropertyFlags(VK_MEMORY_PROPERTY_HOST_CACHED_BIT.rawValue)

  static let device = Self(required: local, preferred: 0)
  static let host = Self(required: visible, preferred: cached)
  static let shared = Self(required: local | visible, preferred: cached)
}

private struct PipelineKey: Hashable {
  let shader: ShaderCode
  let constants: [UInt32]
}

/// A handle that a lock may give out: it lives as long as the device.
private struct CompiledPipeline: @unchecked Sendable {
  let handle: VkPipeline?

  init(_ handle: VkPipeline?) { self.handle = handle }
}

/// What has been compiled on a device.
private struct PipelineTable: @unchecked Sendable {
  private var pipelines: [PipelineKey: VkPipeline?] = [:]
  private var cache: VkPipelineCache?
  private let file: PipelineCacheFile?
  private var keptCount = 0

  init(
    _ device: OpaquePointer, _ facts: DeviceFacts, cacheFolder: String?
  ) throws(ExecutionError) {
    file = cacheFolder.map { PipelineCacheFile(folder: $0, key: facts.cacheKey) }
    let kept = file?.read() ?? []
    let status = banana_vulkan_make_cache(device, kept, kept.count, &cache)
    guard status == VK_SUCCESS else { throw ExecutionError(status) }
  }

  mutating func pipeline(
    _ key: PipelineKey, _ layout: banana_vulkan_layout, _ device: OpaquePointer
  ) throws(ExecutionError) -> VkPipeline? {
    if let found = pipelines[key] { return found }
    var pipeline: VkPipeline?
    let code = key.shader.code
    let status = banana_vulkan_make_pipeline(
      device, cache, layout, code.baseAddress, code.count, key.constants,
      UInt32(key.constants.count), &pipeline)
    guard status == VK_SUCCESS else {
      throw ExecutionError(status, op: key.shader.rawValue)
    }
    pipelines[key] = pipeline
    return pipeline
  }

  mutating func keep(_ device: OpaquePointer) {
    guard let file, pipelines.count > keptCount else { return }
    keptCount = pipelines.count
    var count = 0
    guard banana_vulkan_read_cache(device, cache, &count, nil) == VK_SUCCESS else { return }
    var bytes = [UInt8](repeating: 0, count: count)
    guard banana_vulkan_read_cache(device, cache, &count, &bytes) == VK_SUCCESS else { return }
    file.write(Array(bytes[..<count]))
  }

  func free(_ device: OpaquePointer) {
    for pipeline in pipelines.values { banana_vulkan_free_pipeline(device, pipeline) }
    banana_vulkan_free_cache(device, cache)
  }
}

extension ExecutionError {
  /// - Parameters:
  ///   - neededBytes: What was asked for, if it was memory.
  ///   - op: What was compiled, if something was.
  init(_ status: VkResult, neededBytes: Int = 0, op: String? = nil) {
    switch status {
    case VK_ERROR_OUT_OF_HOST_MEMORY, VK_ERROR_OUT_OF_DEVICE_MEMORY, VK_ERROR_TOO_MANY_OBJECTS:
      self = .outOfMemory(OutOfMemory(neededBytes: neededBytes))
    default:
      if let op {
        self = .unsupported(op: op, reason: "the driver refuses its shader, \(status.text)")
      } else {
        self = .deviceLost(reason: status.text)
      }
    }
  }
}
