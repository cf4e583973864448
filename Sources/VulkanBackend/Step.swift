import Execution

/// A part of a plan's memory, or of what is stored, that a shader sees.
enum Operand {
  case read(Place)
  case write(Place)
  /// Weights, or a table of constants: nobody writes them while a plan runs.
  case stored(DeviceSlice, offset: Int, byteCount: Int)
  /// A buffer that the shader has and does not look at: the step's first one is bound for it.
  case absent
}

/// One dispatch of a shader.
struct Step {
  /// What it counts as in a profile.
  let name: String
  let shader: ShaderCode
  /// Specialization constants.
  let constants: [UInt32]
  /// Buffers in order of their bindings. Where each begins comes before the arguments.
  let operands: [Operand]
  let arguments: [UInt32]
  /// Workgroups.
  let groups: Int

  init(
    _ name: String, _ shader: ShaderCode, constants: [UInt32] = [], _ operands: [Operand],
    _ arguments: [UInt32], groups: Int
  ) {
    self.name = name
    self.shader = shader
    self.constants = constants
    self.operands = operands.map {
      if case .absent = $0 { operands[0] } else { $0 }
    }
    self.arguments = arguments
    self.groups = groups
  }

  /// Along two axes: all devices have 65,535 along each.
  var groupCounts: (x: UInt32, y: UInt32) {
    let most = 1 << 15
    if groups <= most { return (UInt32(groups), 1) }
    return (UInt32(most), UInt32((groups + most - 1) / most))
  }
}

/// What a plan runs in.
struct Memory {
  let inputs: DeviceSlice
  let arena: DeviceSlice

  /// Bytes from the slice's start.
  func range(of operand: Operand) -> (slice: DeviceSlice, offset: Int, byteCount: Int) {
    switch operand {
    case .read(let place), .write(let place):
      (place.region == .inputs ? inputs : arena, place.offset, place.byteCount)
    case .stored(let slice, let offset, let byteCount): (slice, offset, byteCount)
    case .absent: preconditionFailure("nothing is bound")
    }
  }
}

/// Which of a plan's places are read and written by dispatches that may run at the same time.
struct Hazards {
  private var reads: [Place] = []
  private var writes: [Place] = []

  /// Whether a step has to wait for those before it.
  mutating func mustWait(_ step: Step) -> Bool {
    var (read, written): ([Place], [Place]) = ([], [])
    for operand in step.operands {
      switch operand {
      case .read(let place): read.append(place)
      case .write(let place): written.append(place)
      case .stored, .absent: break
      }
    }
    let waits =
      Self.overlap(written, writes) || Self.overlap(written, reads) || Self.overlap(read, writes)
    if waits { (reads, writes) = ([], []) }
    reads += read
    writes += written
    return waits
  }

  private static func overlap(_ some: [Place], _ others: [Place]) -> Bool {
    some.contains { a in
      others.contains { $0.region == a.region && $0.offset < a.end && a.offset < $0.end }
    }
  }
}
