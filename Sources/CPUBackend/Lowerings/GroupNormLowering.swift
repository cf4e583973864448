import CKernels
import Execution
import Graph
import TensorTypes

extension GroupNorm {
  /// Bytes that each thread needs of its own.
  func workerBytes(_ node: Node) -> Int { (3 * 4 * node.result.shape.last + 63) / 64 * 64 }

  /// Bytes that all threads share.
  func sharedBytes(_ node: Node) -> Int { GroupStatistics(self, node.result.shape).byteCount }
}

extension Lowering {
  mutating func lower(_ op: GroupNorm, _ node: Node) throws(ExecutionError) {
    let statistics = GroupStatistics(op, node.result.shape)
    let (source, target, shared) = (
      place(node.operands[0]), place(node.result), plan.sharedPlace(of: node)
    )
    append(GroupStatisticsStep(op, statistics, source: source, shared: shared, kernels))
    append(
      GroupFactorsStep(
        op, statistics, weight: try op.weight.map(weights.vector),
        bias: try op.bias.map(weights.vector), shared: shared))
    append(
      GroupNormStep(
        op, statistics, source: source, target: target, shared: shared, grain, kernels))
  }
}

/// How the statistics of a group norm lie in what threads share: first, f64, a mean and a sum of
/// squared deviations `[item, part, group]`; then, f32, `[item, (mean, scale, bias), channel]`.
private struct GroupStatistics {
  let items: Int
  let rows: Int
  let channels: Int
  let groups: Int
  /// Parts of an item. What is summed apart is the same whoever sums it, so that the bits are.
  let parts: Split

  init(_ op: GroupNorm, _ shape: Shape) {
    items = shape[0]
    rows = shape.rows / max(shape[0], 1)
    channels = shape.last
    groups = op.groups
    parts = Split(rows, into: min(64, rows * channels / 32_768))
  }

  private var statisticBytes: Int { items * parts.count * groups * 16 }
  var byteCount: Int { statisticBytes + items * 3 * channels * 4 }

  func statistics(
    item: Int, part: Int, at shared: Place, in memory: Memory
  ) -> UnsafeMutablePointer<(Double, Double)> {
    UnsafeMutableRawPointer(memory.bytes(shared))
      .assumingMemoryBound(to: (Double, Double).self) + (item * parts.count + part) * groups
  }

  /// An item's means, scales and biases.
  func factors(item: Int, at shared: Place, in memory: Memory) -> UnsafeMutablePointer<Float> {
    memory.floats(shared + statisticBytes) + item * 3 * channels
  }
}

/// The statistics of each part of each item.
private final class GroupStatisticsStep: Step {
  private let statistics: GroupStatistics
  private let source: Place
  private let shared: Place
  private let kernels: UnsafePointer<banana_kernels>

  init(
    _ op: GroupNorm, _ statistics: GroupStatistics, source: Place, shared: Place,
    _ kernels: UnsafePointer<banana_kernels>
  ) {
    self.statistics = statistics
    self.source = source
    self.shared = shared
    self.kernels = kernels
    super.init("\(op.name) statistics", taskCount: statistics.items * statistics.parts.count)
  }

  override func perform(task: Int, worker: Int, in memory: Memory) {
    let (item, part) = task.quotientAndRemainder(dividingBy: statistics.parts.count)
    let rows = statistics.parts.range(part)
    let start = (item * statistics.rows + rows.lowerBound) * statistics.channels
    kernels.pointee.group_statistics(
      memory.floats(source) + start, Int32(rows.count), Int32(statistics.channels),
      Int32(statistics.groups), memory.worker(worker).assumingMemoryBound(to: Float.self),
      statistics.statistics(item: item, part: part, at: shared, in: memory))
  }
}

/// An item's parts joined, as factors for each channel. Chan et al. 1983, "Algorithms for Computing
/// the Sample Variance", eq. 2.1.
private final class GroupFactorsStep: Step {
  private let statistics: GroupStatistics
  private let epsilon: Double
  private let weight: UnsafePointer<Float>?
  private let bias: UnsafePointer<Float>?
  private let shared: Place

  init(
    _ op: GroupNorm, _ statistics: GroupStatistics, weight: UnsafePointer<Float>?,
    bias: UnsafePointer<Float>?, shared: Place
  ) {
    self.statistics = statistics
    epsilon = Double(op.epsilon)
    self.weight = weight
    self.bias = bias
    self.shared = shared
    super.init("\(op.name) factors", taskCount: statistics.items)
  }

  override func perform(task: Int, worker: Int, in memory: Memory) {
    let width = statistics.channels / statistics.groups
    let means = statistics.factors(item: task, at: shared, in: memory)
    let scales = means + statistics.channels
    let biases = scales + statistics.channels
    for group in 0..<statistics.groups {
      let (mean, variance) = joined(group, item: task, in: memory)
      let inverse = 1 / (variance + epsilon).squareRoot()
      let rounded = Float(mean)
      for channel in group * width..<(group + 1) * width {
        let scale = inverse * Double(weight?[channel] ?? 1)
        means[channel] = rounded
        scales[channel] = Float(scale)
        // What rounding took from the mean.
        biases[channel] = Float(Double(bias?[channel] ?? 0) + (Double(rounded) - mean) * scale)
      }
    }
  }

  private func joined(
    _ group: Int, item: Int, in memory: Memory
  ) -> (mean: Double, variance: Double) {
    let width = Double(statistics.channels / statistics.groups)
    var (mean, deviations, count) = (0.0, 0.0, 0.0)
    for part in 0..<statistics.parts.count {
      let other = statistics.statistics(item: item, part: part, at: shared, in: memory)[group]
      let otherCount = Double(statistics.parts.range(part).count) * width
      let difference = other.0 - mean
      let share = otherCount / (count + otherCount)
      mean += difference * share
      deviations += other.1 + difference * difference * count * share
      count += otherCount
    }
    return (mean, deviations / count)
  }
}

/// The normalization; a task is some rows of one item.
private final class GroupNormStep: Step {
  private let statistics: GroupStatistics
  private let activation: Int32
  private let bands: Split
  private let source: Place
  private let target: Place
  private let shared: Place
  private let kernels: UnsafePointer<banana_kernels>

  init(
    _ op: GroupNorm, _ statistics: GroupStatistics, source: Place, target: Place, shared: Place,
    _ grain: TaskGrain, _ kernels: UnsafePointer<banana_kernels>
  ) {
    self.statistics = statistics
    activation = op.activation.code
    bands = Split(
      statistics.rows, into: min(256, statistics.rows * statistics.channels / grain.elements))
    self.source = source
    self.target = target
    self.shared = shared
    self.kernels = kernels
    super.init(op.name, taskCount: statistics.items * bands.count)
  }

  override func perform(task: Int, worker: Int, in memory: Memory) {
    let (item, band) = task.quotientAndRemainder(dividingBy: bands.count)
    let rows = bands.range(band)
    let start = item * statistics.rows * statistics.channels
    let factors = statistics.factors(item: item, at: shared, in: memory)
    var arguments = banana_group_norm()
    arguments.x = UnsafePointer(memory.floats(source) + start)
    arguments.y = memory.floats(target) + start
    arguments.n = Int32(statistics.channels)
    arguments.mean = UnsafePointer(factors)
    arguments.scale = UnsafePointer(factors + statistics.channels)
    arguments.bias = UnsafePointer(factors + 2 * statistics.channels)
    arguments.activation = activation
    kernels.pointee.group_norm(&arguments, Int32(rows.lowerBound), Int32(rows.upperBound))
  }
}
