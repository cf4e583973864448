import Execution
import Testing

@Suite struct BackendChoiceTests {
  @Test func whatPeopleWriteIsRead() {
    #expect(BackendChoice("cpu") == .cpu)
    #expect(BackendChoice("vulkan") == .vulkan(0))
    #expect(BackendChoice("vulkan:12") == .vulkan(12))
    for choice in [BackendChoice.cpu, .vulkan(3)] {
      #expect(BackendChoice("\(choice)") == choice)
    }
    for wrong in ["", "CPU", "gpu", "vulkan:", "vulkan:-1", "vulkan:1:2", "vulkan: 1", "cpu:0"] {
      #expect(BackendChoice(wrong) == nil, "\(wrong)")
    }
  }
}
