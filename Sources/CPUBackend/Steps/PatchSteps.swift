import CKernels

/// Arguments of a product whose left operand can be gathered band by band.
protocol PatchArguments: ProductArguments {
  /// Points at a band's gathered rows, as if the panel held every row of the picture.
  mutating func read(
    _ patches: UnsafeMutableRawPointer, _ rows: Range<Int>, of panel: PatchPanel,
    _ kernels: UnsafePointer<banana_kernels>)
}

extension banana_linear_int8: PatchArguments {
  mutating func read(
    _ patches: UnsafeMutableRawPointer, _ rows: Range<Int>, of panel: PatchPanel,
    _ kernels: UnsafePointer<banana_kernels>
  ) {
    a = UnsafePointer(
      patches.assumingMemoryBound(to: UInt8.self) - rows.lowerBound * panel.stride)
  }
}

extension banana_linear_int4: PatchArguments {
  mutating func read(
    _ patches: UnsafeMutableRawPointer, _ rows: Range<Int>, of panel: PatchPanel,
    _ kernels: UnsafePointer<banana_kernels>
  ) {
    let signed = patches.assumingMemoryBound(to: Int8.self)
    let sums = (patches + panel.panelBytes).assumingMemoryBound(to: Int32.self)
    kernels.pointee.int4_group_sums(signed, panel.stride, Int32(rows.count), groups, group, sums)
    a = UnsafePointer(signed - rows.lowerBound * panel.stride)
    group_sums = UnsafePointer(sums - rows.lowerBound * panel.sumsPerRow)
  }
}

/// A convolution over gathered patches with quantized weights.
final class PatchStep<Arguments: PatchArguments>: Step {
  private var arguments: Arguments
  private let panel: PatchPanel
  private let epilogue: ArenaEpilogue
  private let kernels: UnsafePointer<banana_kernels>
  private let kernel: Arguments.Kernel
  private var scratch: Scratch?

  init(
    _ arguments: Arguments, _ panel: PatchPanel, _ epilogue: ArenaEpilogue,
    _ kernels: UnsafePointer<banana_kernels>
  ) {
    self.arguments = arguments
    self.panel = panel
    self.epilogue = epilogue
    self.kernels = kernels
    kernel = Arguments.kernel(of: kernels)
    super.init("convolution \(Arguments.formatName) (patches)", taskCount: panel.bandCount)
  }

  override func place(_ memory: Memory) {
    scratch = memory.scratch
    arguments.place(memory.scratch)
    arguments.epilogue = epilogue.placed(memory)
  }

  override func perform(task: Int, worker: Int) {
    guard let scratch else { return }
    let patches = scratch.worker(worker)
    let rows = panel.gather(
      task, from: scratch.operand, into: patches.assumingMemoryBound(to: UInt8.self))
    var band = arguments
    band.read(patches, rows, of: panel, kernels)
    kernel(&band, Int32(rows.lowerBound), Int32(rows.upperBound), 0, (band.n + 15) / 16)
  }
}
