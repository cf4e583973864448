import VulkanBackend

/// The GPUs of this machine, as their drivers tell.
struct DeviceChecks {
  /// What the Vulkan loader has.
  var devices: () throws(VulkanUnavailable) -> [DeviceFacts] = { () throws(VulkanUnavailable) in
    try VulkanInstance().devices
  }

  /// Having none is nothing to mend: the CPU draws.
  func findings() -> [Finding] {
    let found: [DeviceFacts]
    do throws(VulkanUnavailable) { found = try devices() } catch {
      return [.ok("gpu", "none with Vulkan (\(error.reason))")]
    }
    if found.isEmpty { return [.ok("gpu", "the Vulkan loader has no device")] }
    return found.map(finding)
  }

  private func finding(_ device: DeviceFacts) -> Finding {
    let name = "vulkan:\(device.index) \(device.name)"
    if let lack = device.lack { return .ok("gpu", "\(name) cannot be used: \(lack)") }
    let features: [(DeviceFacts.Feature, String)] = [
      (.float16, "float16"), (.int8, "int8"), (.integerDot, "integer dot product"),
      (.cooperativeMatrix, "cooperative matrix"),
    ]
    let has = features.filter { device.features.contains($0.0) }.map(\.1)
    let facts =
      [
        kind(device.kind), "Vulkan \(device.version)", "\(device.heapBytes >> 20) MiB",
        "\(device.workgroupInvocations) invocations a workgroup",
        "\(device.sharedBytes >> 10) KiB shared memory",
      ] + has
    return .ok("gpu", "\(name): \(facts.joined(separator: ", ")); \(device.driver)")
  }

  private func kind(_ kind: DeviceFacts.Kind) -> String {
    switch kind {
    case .integrated: "integrated"
    case .discrete: "a card of its own"
    case .virtual: "virtual"
    case .processor: "the processor itself, slower than without Vulkan"
    case .other: "of another kind"
    }
  }
}
