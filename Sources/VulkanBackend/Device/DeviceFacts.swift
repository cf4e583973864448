import CVulkan

/// What a device is and can, as its driver says.
package struct DeviceFacts: Hashable, Sendable {
  package enum Kind: String, Hashable, Sendable, Codable {
    case integrated, discrete, virtual, processor, other
  }

  /// An ability that not every device has.
  package enum Feature: String, Hashable, Sendable, CaseIterable {
    case float16, int8, storage16, storage8, timelineSemaphores, integerDot
    case acceleratedIntegerDot, cooperativeMatrix
  }

  /// Its place among the loader's devices.
  package let index: Int
  package let name: String
  /// The driver with its version, such as `llvmpipe, Mesa 22.3.6`.
  package let driver: String
  package let kind: Kind
  /// `major.minor` of the Vulkan that it has.
  package let version: String
  package let features: Set<Feature>
  /// Bytes of its largest heap.
  package let heapBytes: Int
  /// Bytes that a shader sees of a buffer at most.
  package let bufferRangeBytes: Int
  package let workgroupInvocations: Int
  package let sharedBytes: Int
  package let subgroupSize: Int
  /// Why nothing of ours can run on it; nil if it can.
  package let lack: String?
  /// Bytes that a buffer's part is aligned to where it is bound.
  let offsetAlignment: Int
  /// Whether the host sees memory that is the device's own.
  let isHostVisible: Bool
  /// What a pipeline cache has been made for: the device, its driver and that one's version.
  let cacheKey: [UInt8]

  init(_ facts: banana_vulkan_facts, index: Int) {
    self.index = index
    name = Self.text(facts.name)
    let (driver, info) = (Self.text(facts.driver), Self.text(facts.driver_info))
    self.driver = info.isEmpty ? driver : "\(driver), \(info)"
    kind =
      switch facts.type {
      case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU: .integrated
      case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU: .discrete
      case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU: .virtual
      case VK_PHYSICAL_DEVICE_TYPE_CPU: .processor
      default: .other
      }
    version = "\(facts.api_version >> 22 & 0x7f).\(facts.api_version >> 12 & 0x3ff)"
    let has: [Feature: Bool] = [
      .float16: facts.float16, .int8: facts.int8, .storage16: facts.storage16,
      .storage8: facts.storage8, .timelineSemaphores: facts.timeline_semaphores,
      .integerDot: facts.integer_dot, .acceleratedIntegerDot: facts.integer_dot_accelerated,
      .cooperativeMatrix: facts.cooperative_matrix,
    ]
    features = Set(has.filter(\.value).keys)
    heapBytes = Int(clamping: facts.heap_bytes)
    bufferRangeBytes = Int(clamping: facts.buffer_range_bytes)
    workgroupInvocations = Int(facts.workgroup_invocations)
    sharedBytes = Int(facts.shared_bytes)
    subgroupSize = Int(facts.subgroup_size)
    offsetAlignment = max(4, Int(facts.offset_alignment))
    isHostVisible = facts.host_visible
    lack = Self.lack(facts)
    cacheKey =
      Self.bytes(facts.cache_uuid) + Self.bytes(facts.vendor) + Self.bytes(facts.device)
      + Self.bytes(facts.driver_version) + Self.bytes(facts.api_version)
  }

  /// What every device of Vulkan 1.1 has that people use; a driver may have less.
  private static func lack(_ facts: banana_vulkan_facts) -> String? {
    if facts.api_version < UInt32(1) << 22 | UInt32(1) << 12 { return "it has Vulkan 1.0 only" }
    if facts.queue_family < 0 { return "it has no queue that computes" }
    if facts.stage_buffers < ShaderCode.mostBuffers {
      return "a shader reads \(facts.stage_buffers) buffers, not \(ShaderCode.mostBuffers)"
    }
    if facts.shared_bytes < 16 << 10 || facts.workgroup_invocations < 64 {
      return "its workgroups are too small"
    }
    if facts.push_bytes < ShaderCode.mostArgumentBytes { return "it takes too few arguments" }
    return nil
  }

  private static func bytes<Value>(_ value: Value) -> [UInt8] {
    withUnsafeBytes(of: value) { Array($0) }
  }

  /// The text of a C array of characters.
  private static func text<Characters>(_ characters: Characters) -> String {
    String(decoding: bytes(characters).prefix { $0 != 0 }, as: UTF8.self)
  }
}
