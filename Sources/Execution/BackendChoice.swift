/// What people ask to draw on.
package enum BackendChoice: Hashable, Sendable, CustomStringConvertible {
  case cpu
  /// The Vulkan device with this number among the loader's.
  case vulkan(Int)

  /// Reads `cpu`, `vulkan` (the first device) or `vulkan:N`; nil is anything else.
  package init?(_ text: String) {
    switch text {
    case "cpu": self = .cpu
    case "vulkan": self = .vulkan(0)
    default:
      let parts = text.split(separator: ":", omittingEmptySubsequences: false)
      guard parts.count == 2, parts[0] == "vulkan", parts[1].allSatisfy(\.isNumber),
        let index = Int(parts[1])
      else { return nil }
      self = .vulkan(index)
    }
  }

  package var description: String {
    switch self {
    case .cpu: "cpu"
    case .vulkan(let index): "vulkan:\(index)"
    }
  }
}
