import CVulkan
import Execution

/// Command buffers and what they bind, for one thread at a time; all go with it.
final class Recorder {
  let device: VulkanDevice
  let recording: banana_vulkan_recording

  /// - Parameters:
  ///   - sets: Dispatches that will be recorded.
  ///   - buffers: What they bind together.
  init(_ device: VulkanDevice, sets: Int, buffers: Int) throws(ExecutionError) {
    self.device = device
    var made = banana_vulkan_recording()
    let status = banana_vulkan_make_recording(
      device.handle, UInt32(sets), UInt32(buffers), &made)
    guard status == VK_SUCCESS else { throw ExecutionError(status) }
    recording = made
  }

  deinit { banana_vulkan_free_recording(device.handle, recording) }

  /// A command buffer of its own, with everything in it seen by what is submitted behind it.
  func record(
    _ body: (Commands) throws(ExecutionError) -> Void
  ) throws(ExecutionError) -> VkCommandBuffer? {
    var buffer: VkCommandBuffer?
    var status = banana_vulkan_begin(device.handle, recording, &buffer)
    guard status == VK_SUCCESS else { throw ExecutionError(status) }
    let commands = Commands(recorder: self, buffer: buffer)
    try body(commands)
    commands.barrier()
    status = banana_vulkan_end(device.handle, buffer)
    guard status == VK_SUCCESS else { throw ExecutionError(status) }
    return buffer
  }

  func free(_ commands: VkCommandBuffer?) {
    banana_vulkan_free_commands(device.handle, recording, commands)
  }
}

/// A command buffer while it is recorded.
struct Commands {
  let recorder: Recorder
  let buffer: VkCommandBuffer?

  private var device: VulkanDevice { recorder.device }

  func barrier() { banana_vulkan_barrier(device.handle, buffer) }

  func copy(
    from source: DeviceSlice, _ sourceOffset: Int, to target: DeviceSlice, _ targetOffset: Int,
    _ byteCount: Int
  ) {
    banana_vulkan_copy(
      device.handle, buffer, source.buffer, UInt64(source.offset + sourceOffset), target.buffer,
      UInt64(target.offset + targetOffset), UInt64(byteCount))
  }

  func dispatch(_ step: Step, in memory: Memory) throws(ExecutionError) {
    let count = step.operands.count
    let pipeline = try device.pipeline(step.shader, step.constants, buffers: count)
    var arguments: [UInt32] = []
    var bound: [VkDescriptorBufferInfo] = []
    for operand in step.operands {
      let (slice, offset, byteCount) = memory.range(of: operand)
      let start = slice.offset + offset
      // A buffer is bound from where the device can; the rest of the way is an argument.
      let within = start % device.facts.offsetAlignment
      arguments.append(UInt32(within / 4))
      bound.append(
        VkDescriptorBufferInfo(
          buffer: slice.buffer, offset: UInt64(start - within), range: UInt64(within + byteCount)))
    }
    arguments += step.arguments
    precondition(4 * arguments.count <= ShaderCode.mostArgumentBytes)
    let layout = device.layout(buffers: count)
    var set: VkDescriptorSet?
    let status = banana_vulkan_bind(
      device.handle, recorder.recording, layout, bound, UInt32(count), &set)
    guard status == VK_SUCCESS else { throw ExecutionError(status) }
    let groups = step.groupCounts
    banana_vulkan_dispatch(
      device.handle, buffer, pipeline, layout, set, arguments, UInt32(arguments.count), groups.x,
      groups.y)
  }
}
