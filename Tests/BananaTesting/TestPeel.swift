import Weights

/// Whole peels that change one layer.
package enum TestPeel {
  /// - Parameters:
  ///   - value: What all numbers are, so that peels differ.
  ///   - metadata: For example `banana.base_sha256`, which `FakeEngine` compares with its name.
  package static func bytes(
    value: Float = 1, rank: Int = 2, metadata: [String: String] = [:]
  ) -> [UInt8] {
    func tensor(_ part: String, _ shape: [Int]) -> SafetensorsWriter.Tensor {
      let numbers = Array(repeating: value.bitPattern.littleEndian, count: shape[0] * shape[1])
      return .init(
        name: "base_model.model.denoiser.layers.0.qkv.\(part).weight", type: .float32,
        shape: shape, bytes: numbers.withUnsafeBytes(Array.init))
    }
    return SafetensorsWriter.bytes(
      [tensor("lora_A", [rank, 64]), tensor("lora_B", [32, rank])], metadata: metadata)
  }
}
