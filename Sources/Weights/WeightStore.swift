package import TensorTypes

// Interim: replaced by the real store.
package enum WeightError: Error, Equatable { case missing(name: String) }

package struct StoredWeight {
  package let format: StorageFormat
  package let logicalShape: Shape
  package let data: UnsafeRawBufferPointer
  package let scales: UnsafeBufferPointer<Float>?
  package func dequantized() -> [Float] { Array(data.bindMemory(to: Float.self)) }
}

package final class WeightStore {
  private let tensors: [String: StoredWeight]
  package init(_ tensors: [String: StoredWeight]) { self.tensors = tensors }
  package func weight(
    named name: String, logicalShape: Shape
  ) throws(WeightError) -> StoredWeight {
    guard let weight = tensors[name] else { throw .missing(name: name) }
    return weight
  }
}
