import CVulkan

/// The Vulkan loader with an instance of its own: what devices there are. A machine may have
/// neither.
package final class VulkanInstance: Sendable {
  /// C keeps it; whoever changes something behind it takes turns, and complaints are counted
  /// atomically.
  nonisolated(unsafe) let handle: OpaquePointer
  /// In the order in which the loader has them.
  package let devices: [DeviceFacts]

  /// - Parameter validates: With the validation layer, where it is installed.
  /// - Throws: `VulkanUnavailable` without a loader, or if it refuses.
  package init(validates: Bool = false) throws(VulkanUnavailable) {
    if let reason = banana_vulkan_load() {
      throw VulkanUnavailable(reason: String(cString: reason))
    }
    var opened: OpaquePointer?
    let status = banana_vulkan_open(validates, &opened)
    guard status == VK_SUCCESS, let opened else {
      throw VulkanUnavailable(reason: "the loader answers with \(status.text)")
    }
    handle = opened
    var devices: [DeviceFacts] = []
    var facts = banana_vulkan_facts()
    while banana_vulkan_describe(opened, UInt32(devices.count), &facts) {
      devices.append(DeviceFacts(facts, index: devices.count))
    }
    self.devices = devices
  }

  deinit { banana_vulkan_close(handle) }

  /// Whether the validation layer is there and watches.
  package var isValidated: Bool { banana_vulkan_validates(handle) }

  /// The first of the validation layer's complaints, and how many there were.
  package var complaints: (count: Int, first: String) {
    let count = Int(banana_vulkan_complaints(handle))
    return (count, count == 0 ? "" : String(cString: banana_vulkan_first_complaint(handle)))
  }
}

/// Why there is no Vulkan on this machine.
package struct VulkanUnavailable: Error, Equatable, CustomStringConvertible {
  package let reason: String

  package init(reason: String) { self.reason = reason }

  package var description: String {
    "Vulkan cannot be used: \(reason). Install the loader (Debian: libvulkan1) and the GPU's "
      + "driver (mesa-vulkan-drivers), see with banana doctor what devices there are, or use cpu"
  }
}

extension VkResult {
  /// What goes wrong, in Vulkan's words where people look for them.
  var text: String {
    switch self {
    case VK_ERROR_OUT_OF_HOST_MEMORY: "VK_ERROR_OUT_OF_HOST_MEMORY"
    case VK_ERROR_OUT_OF_DEVICE_MEMORY: "VK_ERROR_OUT_OF_DEVICE_MEMORY"
    case VK_ERROR_INITIALIZATION_FAILED: "VK_ERROR_INITIALIZATION_FAILED"
    case VK_ERROR_DEVICE_LOST: "VK_ERROR_DEVICE_LOST"
    case VK_ERROR_LAYER_NOT_PRESENT: "VK_ERROR_LAYER_NOT_PRESENT"
    case VK_ERROR_EXTENSION_NOT_PRESENT: "VK_ERROR_EXTENSION_NOT_PRESENT"
    case VK_ERROR_FEATURE_NOT_PRESENT: "VK_ERROR_FEATURE_NOT_PRESENT"
    case VK_ERROR_INCOMPATIBLE_DRIVER: "VK_ERROR_INCOMPATIBLE_DRIVER"
    case VK_ERROR_TOO_MANY_OBJECTS: "VK_ERROR_TOO_MANY_OBJECTS"
    default: "VkResult \(rawValue)"
    }
  }
}
