import CKernels

/// A convolution over gathered patches with int8 weights.
final class Int8PatchStep: Step {
  private var arguments: banana_linear_int8
  private let panel: PatchPanel
  private let epilogue: ArenaEpilogue
  private let kernels: UnsafePointer<banana_kernels>
  private var scratch: Scratch?

  init(
    _ arguments: banana_linear_int8, _ panel: PatchPanel, _ epilogue: ArenaEpilogue,
    _ kernels: UnsafePointer<banana_kernels>
  ) {
    self.arguments = arguments
    self.panel = panel
    self.epilogue = epilogue
    self.kernels = kernels
    super.init("convolution int8 (patches)", taskCount: panel.bandCount)
  }

  override func place(_ memory: Memory) {
    scratch = memory.scratch
    arguments.row_scale = UnsafePointer(memory.scratch.scales)
    arguments.epilogue = epilogue.placed(memory)
  }

  override func perform(task: Int, worker: Int) {
    guard let scratch else { return }
    let patches = scratch.worker(worker).assumingMemoryBound(to: UInt8.self)
    let rows = panel.gather(task, from: scratch.operand, into: patches)
    // The kernel counts rows over the whole picture; the panel starts at this band's first.
    var band = arguments
    band.a = UnsafePointer(patches - rows.lowerBound * panel.stride)
    kernels.pointee.linear_int8(
      &band, Int32(rows.lowerBound), Int32(rows.upperBound), 0, (band.n + 15) / 16)
  }
}

/// A convolution over gathered patches with int4 weights.
final class Int4PatchStep: Step {
  private var arguments: banana_linear_int4
  private let panel: PatchPanel
  private let epilogue: ArenaEpilogue
  private let kernels: UnsafePointer<banana_kernels>
  private var scratch: Scratch?

  init(
    _ arguments: banana_linear_int4, _ panel: PatchPanel, _ epilogue: ArenaEpilogue,
    _ kernels: UnsafePointer<banana_kernels>
  ) {
    self.arguments = arguments
    self.panel = panel
    self.epilogue = epilogue
    self.kernels = kernels
    super.init("convolution int4", taskCount: panel.bandCount)
  }

  override func place(_ memory: Memory) {
    scratch = memory.scratch
    arguments.row_scale = UnsafePointer(memory.scratch.scales)
    arguments.epilogue = epilogue.placed(memory)
  }

  override func perform(task: Int, worker: Int) {
    guard let scratch else { return }
    let memory = scratch.worker(worker)
    let patches = memory.assumingMemoryBound(to: UInt8.self)
    let sums = (memory + panel.panelBytes).assumingMemoryBound(to: Int32.self)
    let rows = panel.gather(task, from: scratch.operand, into: patches)
    let signed = memory.assumingMemoryBound(to: Int8.self)
    kernels.pointee.int4_group_sums(
      signed, panel.stride, Int32(rows.count), arguments.groups, arguments.group, sums)
    // The kernel counts rows over the whole picture; the panel starts at this band's first.
    var band = arguments
    band.a = UnsafePointer(signed - rows.lowerBound * panel.stride)
    band.group_sums = UnsafePointer(sums - rows.lowerBound * panel.sumsPerRow)
    kernels.pointee.linear_int4(
      &band, Int32(rows.lowerBound), Int32(rows.upperBound), 0, (band.n + 15) / 16)
  }
}
