import CPUBackend
import Execution
import Reference
import VulkanBackend

/// What networks are run on in tests.
enum TestBackend: CaseIterable, Sendable {
  case reference, cpu
  /// The first Vulkan device, on machines that have one.
  case vulkan

  private static let device: VulkanBackend? = try? VulkanBackend(deviceIndex: 0)

  static let available: [TestBackend] = allCases.filter { $0 != .vulkan || device != nil }

  func make() -> any Backend {
    switch self {
    case .reference: return ReferenceBackend()
    case .cpu: return CPUBackend(threadCount: 2)
    case .vulkan:
      guard let device = Self.device else { preconditionFailure("there is no Vulkan device") }
      return device
    }
  }
}
