package import Execution
package import Graph
package import TensorTypes
package import Weights

/// Runs plans on a Vulkan device.
///
/// Sums have an order of their own in each kernel, so that bits depend neither on the batch nor on
/// how the device shares out work.
package final class VulkanBackend: Backend {
  package let device: VulkanDevice

  package init(_ device: VulkanDevice) { self.device = device }

  /// Opens the device with this number among the loader's.
  /// - Parameter cacheFolder: Where compiled pipelines are kept; nowhere if nil.
  /// - Throws: `VulkanUnavailable` if there is none, or if its driver refuses.
  package convenience init(
    deviceIndex: Int, cacheFolder: String? = nil
  ) throws(VulkanUnavailable) {
    let instance = try VulkanInstance()
    guard let facts = instance.devices.first(where: { $0.index == deviceIndex }) else {
      let known = instance.devices.map { "vulkan:\($0.index) (\($0.name))" }
      throw VulkanUnavailable(
        reason: "there is no device \(deviceIndex), only "
          + (known.isEmpty ? "the loader without any" : known.joined(separator: ", ")))
    }
    do throws(ExecutionError) {
      self.init(try VulkanDevice(facts, of: instance, cacheFolder: cacheFolder))
    } catch { throw VulkanUnavailable(reason: "\(facts.name): \(error)") }
  }

  package var name: String { "vulkan:\(device.facts.index) (\(device.facts.name))" }

  /// The device has its own threads.
  package func limitThreads(to count: Int) {}

  /// Quantizes what is multiplied with integers, and gives every value a place.
  package func plan(
    _ graph: Graph, for weights: WeightStore, activations: ActivationFormat
  ) -> Plan {
    guard activations == .int8 else { return Planner.plan(graph) }
    return Planner.plan(
      graph.quantizingOperands { op in
        // There is no shader yet that smooths: such weights are multiplied in f32.
        if case .linear(let op) = op, weights.smoothing(of: op.weight.name) == nil {
          return op.quantization(for: weights.quantization(of: op.weight.name))
        }
        if case .convolution(let op) = op, weights.smoothing(of: op.weight.name) == nil {
          return op.quantization(for: weights.quantization(of: op.weight.name))
        }
        return nil
      })
  }

  package func sessionBytes(of plan: Plan) -> Int {
    Self.sessionBytes(of: plan, isStaged: device.form.isStaged)
  }

  /// Inputs, tables of constants and, where the host does not see them, mirrors of inputs and
  /// outputs.
  static func sessionBytes(of plan: Plan, isStaged: Bool) -> Int {
    let tables = ConstantTable.tables(of: plan).reduce(0) { $0 + DeviceHeap.aligned(4 * $1.count) }
    let inputs = DeviceHeap.aligned(plan.inputBytes)
    guard isStaged else { return inputs + tables }
    let outputs = plan.mirroredOutputs.reduce(0) { $0 + plan[$1].byteCount }
    return 2 * inputs + tables + DeviceHeap.aligned(outputs)
  }

  package func arenaBytes(of plan: Plan) -> Int { DeviceHeap.aligned(plan.arenaBytes) }

  package func makeArena() -> any Arena { VulkanArena(device) }

  /// Everything is copied to the device: nothing is read in the mapping.
  package func boundBytes(
    of graphs: [Graph], in weights: WeightStore, activations: ActivationFormat
  ) -> Int {
    var bytes: [String: Int] = [:]
    for node in graphs.flatMap(\.nodes) {
      var vectors = node.op.payload.weights
      switch node.op {
      case .linear, .convolution, .embedding:
        let matrix = vectors.removeFirst()
        let parts = StoredParts(
          matrix, in: weights, rangeBytes: device.form.bufferRangeBytes)
        bytes["\(matrix.name) stored"] = DeviceHeap.aligned(parts.byteCount)
      case .parameter, .sinusoidal, .matmul, .norm, .groupNorm, .headNorm, .attention,
        .activation, .gatedActivation, .binary, .scale, .slice, .concatenation, .meanPool,
        .depthToSpace, .spaceToDepth, .fold, .reshape, .quantize, .patchSum:
        break
      }
      for vector in vectors { bytes[vector.name] = DeviceHeap.aligned(4 * vector.shape.count) }
    }
    return bytes.values.reduce(0, +)
  }

  package func bind(
    _ weights: WeightStore, activations: ActivationFormat
  ) -> any BoundWeights {
    VulkanWeights(weights, device)
  }
}
