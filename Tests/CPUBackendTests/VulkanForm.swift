import Foundation
import Testing
import VulkanBackend

/// A Vulkan device as it is, and as poorer ones would be; none on a machine without Vulkan.
struct VulkanForm {
  let name: String
  let backend: VulkanBackend

  private static let instance = try? VulkanInstance(validates: true)

  /// The first device that the loader has and that can be used, in all forms.
  static let all: [VulkanForm] = {
    guard let instance, let facts = instance.devices.first(where: { $0.lack == nil }) else {
      return []
    }
    var plain = DeviceForm(facts)
    plain.usesIntegerDot = false
    plain.isStaged = false
    var poor = plain
    poor.isStaged = true
    return [("full", DeviceForm(facts)), ("plain", plain), ("staged", poor)].compactMap {
      make($0, $1)
    }
  }()

  /// - Parameter form: nil for one that the device does not do.
  static func make(_ name: String, _ form: DeviceForm) -> VulkanForm? {
    guard let instance, let facts = instance.devices.first(where: { $0.lack == nil }) else {
      return nil
    }
    do {
      let device = try VulkanDevice(facts, of: instance, form: form)
      return VulkanForm(name: "vulkan \(name)", backend: VulkanBackend(device))
    } catch {
      Issue.record("\(facts.name) does not open: \(error)")
      return nil
    }
  }

  /// What the validation layer says, of all forms.
  var complaints: (count: Int, first: String) { Self.instance?.complaints ?? (0, "") }

  /// Where Vulkan is asked for, tests must not pass for want of a device.
  static var isRequired: Bool { ProcessInfo.processInfo.environment["BANANA_TEST_VULKAN"] == "1" }
  static var isValidated: Bool { instance?.isValidated ?? false }
}
