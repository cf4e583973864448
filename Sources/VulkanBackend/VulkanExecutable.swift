import CVulkan
import Execution
import Graph
import TensorTypes

/// A plan as command buffers that are recorded once and submitted at every run.
///
/// Where the host sees the device's memory, inputs are written and outputs read in place. Otherwise
/// the host has a mirror of the inputs, of which those that changed are copied before the kernels,
/// and outputs are copied into a mirror behind them.
final class VulkanExecutable: Executable {
  let plan: Plan
  let residentBytes: Int
  private let weights: VulkanWeights
  private let steps: [Step]
  private let vulkanArena: VulkanArena
  private let inputs: DeviceSlice
  private let inputMirror: DeviceSlice?
  private let outputMirror: OutputMirror?
  private var changed: Set<Value>
  private var recorded: Recorded?

  init(plan: Plan, weights: VulkanWeights, arena: VulkanArena) throws(ExecutionError) {
    let device = weights.device
    var lowering = try Lowering(plan: plan, weights: weights)
    for node in plan.graph.nodes { try lowering.lower(node) }
    self.plan = plan
    self.weights = weights
    vulkanArena = arena
    steps = lowering.steps.filter { $0.groups > 0 }
    inputs = try device.memory.allocate(plan.inputBytes)
    inputMirror = device.form.isStaged ? try device.hostMemory.allocate(plan.inputBytes) : nil
    outputMirror = device.form.isStaged ? try OutputMirror(plan, device) : nil
    residentBytes = VulkanBackend.sessionBytes(of: plan, isStaged: device.form.isStaged)
    changed = Set(plan.graph.inputs.map(\.value))
    // What nobody writes is zero.
    (inputMirror ?? inputs).mapped?.initializeMemory(as: UInt8.self, repeating: 0)
    // Here, so that a run does not find that the driver refuses a shader.
    for step in steps {
      _ = try device.pipeline(step.shader, step.constants, buffers: step.operands.count)
    }
    device.keepPipelines()
  }

  var arena: any Arena { vulkanArena }
  private var device: VulkanDevice { weights.device }

  func write(_ bytes: UnsafeRawBufferPointer, to input: Value, at offset: Int) {
    let place = plan[input]
    precondition(place.region == .inputs && offset + bytes.count <= place.byteCount)
    guard let target = (inputMirror ?? inputs).mapped?.baseAddress, let source = bytes.baseAddress
    else { return }
    (target + place.offset + offset).copyMemory(from: source, byteCount: bytes.count)
    if inputMirror != nil { changed.insert(input) }
  }

  func withContents(of value: Value, _ body: (UnsafeRawBufferPointer) -> Void) {
    let place = plan[value]
    var (source, offset): (DeviceSlice?, Int) = (inputMirror ?? inputs, place.offset)
    if place.region == .arena {
      (source, offset) =
        outputMirror.map { ($0.slice, $0.offset(of: value)) }
        ?? (vulkanArena.slice, place.offset)
    }
    guard let mapped = source?.mapped else { preconditionFailure("the arena was given back") }
    body(UnsafeRawBufferPointer(rebasing: mapped[offset..<offset + place.byteCount]))
  }

  func run() throws(ExecutionError) {
    let recorded = try recording()
    var commands: [VkCommandBuffer?] = []
    for input in plan.graph.inputs where changed.contains(input.value) {
      if let upload = recorded.uploads[input.value] { commands.append(upload) }
    }
    commands.append(recorded.kernels)
    try device.run(commands, recorded.recorder.recording)
    changed = []
  }

  /// What is recorded over the arena as it is now.
  private func recording() throws(ExecutionError) -> Recorded {
    let slice = try vulkanArena.reserve(plan.arenaBytes)
    if let recorded, recorded.arena === slice { return recorded }
    recorded = nil
    let memory = Memory(inputs: inputs, arena: slice)
    let recorder = try Recorder(
      device, sets: steps.count, buffers: steps.reduce(0) { $0 + $1.operands.count })
    var uploads: [Value: VkCommandBuffer?] = [:]
    if let inputMirror {
      for input in plan.graph.inputs {
        let place = plan[input.value]
        uploads[input.value] = try recorder.record {
          $0.copy(from: inputMirror, place.offset, to: inputs, place.offset, place.byteCount)
        }
      }
    }
    let kernels = try recorder.record { commands throws(ExecutionError) in
      var hazards = Hazards()
      for step in steps {
        if hazards.mustWait(step) { commands.barrier() }
        try commands.dispatch(step, in: memory)
      }
      guard let outputMirror else { return }
      commands.barrier()
      outputMirror.copy(plan, from: memory, commands)
    }
    let made = Recorded(arena: slice, recorder: recorder, uploads: uploads, kernels: kernels)
    recorded = made
    return made
  }

  /// Each step alone, with a submission around it, after one whole run.
  func profile() throws(ExecutionError) -> [StepTime] {
    try run()
    let memory = Memory(inputs: inputs, arena: try vulkanArena.reserve(plan.arenaBytes))
    let clock = ContinuousClock()
    var order: [String] = []
    var totals: [String: (count: Int, seconds: Double)] = [:]
    for step in steps {
      let recorder = try Recorder(device, sets: 1, buffers: step.operands.count)
      let commands = try recorder.record { commands throws(ExecutionError) in
        try commands.dispatch(step, in: memory)
      }
      let start = clock.now
      try device.run([commands], recorder.recording)
      let seconds = start.duration(to: clock.now) / .seconds(1)
      if totals[step.name] == nil { order.append(step.name) }
      totals[step.name, default: (0, 0)].count += 1
      totals[step.name, default: (0, 0)].seconds += seconds
    }
    return order.map { name in
      let total = totals[name] ?? (0, 0)
      return StepTime(name: name, count: total.count, seconds: total.seconds)
    }
  }
}

/// What has been recorded, and over which arena.
private struct Recorded {
  /// Weak, so that it goes when the arena lets it go.
  weak var arena: DeviceSlice?
  let recorder: Recorder
  /// Copies of inputs, by input.
  let uploads: [Value: VkCommandBuffer?]
  let kernels: VkCommandBuffer?
}

/// Where the host finds what a run has left in memory that it does not see.
private struct OutputMirror {
  let slice: DeviceSlice
  private let offsets: [Value: Int]

  init(_ plan: Plan, _ device: VulkanDevice) throws(ExecutionError) {
    var offsets: [Value: Int] = [:]
    var next = 0
    for value in plan.mirroredOutputs {
      offsets[value] = next
      next += plan[value].byteCount
    }
    self.offsets = offsets
    slice = try device.hostMemory.allocate(next)
  }

  func offset(of output: Value) -> Int {
    guard let offset = offsets[output] else { preconditionFailure("%\(output.id) is no output") }
    return offset
  }

  func copy(_ plan: Plan, from memory: Memory, _ commands: Commands) {
    for value in plan.mirroredOutputs {
      let place = plan[value]
      commands.copy(
        from: memory.arena, place.offset, to: slice, offset(of: value), place.byteCount)
    }
  }
}

extension Plan {
  /// Outputs that lie in the arena, each once.
  var mirroredOutputs: [Value] {
    var seen = Set<Value>()
    return graph.outputs.map(\.value).filter {
      self[$0].region == .arena && seen.insert($0).inserted
    }
  }
}
