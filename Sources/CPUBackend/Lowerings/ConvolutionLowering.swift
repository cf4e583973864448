import CKernels
import Execution
import Graph
import TensorTypes

extension Convolution {
  /// How the kernels want the input for weights in a format; nil for f32.
  func quantization(
    for format: StorageFormat?, smoothing: WeightReference? = nil, zeroPoint: Int = 0
  ) -> Quantize? {
    switch format {
    case .int8 where readsInPlace:
      Quantize(
        scaling: .item, smoothing: smoothing, zeroPoint: zeroPoint,
        borderHeight: kernelHeight / 2, borderWidth: kernelWidth / 2)
    case .int8: Quantize(scaling: .item, smoothing: smoothing, zeroPoint: zeroPoint)
    case .int4(let group): Quantize(scaling: .item, smoothing: smoothing, group: group)
    case .float32, .float16, .bfloat16, .int8Rows, .int4Rows, nil: nil
    }
  }

  /// The blocks of int8 weights hold four consecutive inputs: where a kernel line ends with a
  /// block, and every pixel is read as it is, patches need not be gathered.
  private var readsInPlace: Bool {
    upsampling == 1 && (kernelWidth * weight.shape[3]).isMultiple(of: BlockLayout.inputs)
  }

  /// How patches are gathered for the input as it is; nil where it is read in place.
  fileprivate func panel(_ node: Node) -> PatchPanel? {
    let (input, result) = (node.operands[0], node.result.shape)
    let lineInputs = weight.shape.count / weight.shape[0]
    guard case .int8(let quantize) = input.elementType else {
      if kernelHeight == 1, kernelWidth == 1, stride == 1, upsampling == 1 { return nil }
      return PatchPanel(self, input.shape, result, elementBytes: 4, rowBytes: 4 * lineInputs)
    }
    if let group = quantize.group {
      let groups = (lineInputs + group - 1) / group
      return PatchPanel(
        self, input.shape, result, elementBytes: 1, rowBytes: groups * group, sumsPerRow: groups)
    }
    if readsInPlace { return nil }
    return PatchPanel(
      self, input.shape, result, elementBytes: 1,
      rowBytes: BlockLayout.quads(of: lineInputs) * BlockLayout.inputs)
  }

  /// Bytes that each thread needs of its own.
  func workerBytes(_ node: Node) -> Int { panel(node)?.byteCount ?? 0 }

  /// Where the rows of a convolution over a picture `x` with a border are, and how far behind the
  /// border's start the first one is.
  fileprivate func rows(
    over x: Shape, _ border: Quantize, result: Shape
  ) -> (rows: banana_rows, start: Int) {
    let channels = x[3]
    let line = (x[2] + 2 * border.borderWidth) * channels
    var rows = banana_rows()
    rows.row_stride = stride * channels
    rows.line_rows = Int32(result[2])
    rows.item_lines = Int32(result[1])
    rows.line_stride = stride * line
    rows.item_stride = (x[1] + 2 * border.borderHeight) * line
    rows.segments = Int32(kernelHeight)
    rows.segment_length = Int32(kernelWidth * channels)
    rows.segment_stride = line
    let start =
      (border.borderHeight - paddingTop) * line + (border.borderWidth - paddingLeft) * channels
    return (rows, start)
  }
}

extension Lowering {
  mutating func lower(_ op: Convolution, _ node: Node) throws(ExecutionError) {
    let epilogue = PlacedEpilogue(
      plan, node, bias: try op.bias.map(weights.vector), form: op.epilogue)
    let x = node.operands[0]
    let source = place(x)
    let n = op.weight.shape[0]
    let inputs = op.weight.shape.count / n
    let tiling = Tiling(rows: node.result.shape.rows, outputs: n, inputs: inputs, grain)
    var panel = op.panel(node)
    guard case .int8(let quantize) = x.elementType else {
      var arguments = banana_linear_f32()
      arguments.w = try weights.floats(op.weight)
      arguments.n = Int32(n)
      arguments.rows = contiguousRows(stride: inputs, length: inputs)
      if let panel {
        append(PatchStep(op.name, arguments, panel, source: source, epilogue, kernels) { _, _ in })
      } else {
        append(
          MatrixProductStep(op.name, arguments, tiling, epilogue, kernels) {
            $0.a = UnsafePointer($1.floats(source))
          })
      }
      return
    }
    let scales = source + quantize.layout(of: x.shape).scales
    let area = Int32(node.result.shape[1] * node.result.shape[2])
    switch try weights.integers(op.weight, for: quantize) {
    case .int8(let w, let rowScales, let initial):
      panel?.padding =
        UInt8(bitPattern: Int8(quantize.zeroPoint)) ^ kernels.pointee.activation_offset
      var arguments = banana_linear_int8()
      arguments.w = w
      arguments.w_scale = rowScales
      arguments.initial = initial
      arguments.n = Int32(n)
      arguments.row_scale_rows = area
      if let panel {
        arguments.rows = contiguousRows(stride: panel.rowBytes, length: panel.rowBytes)
        append(
          PatchStep(op.name, arguments, panel, source: source, epilogue, kernels) {
            $0.row_scale = UnsafePointer($1.floats(scales))
          })
      } else {
        let (rows, start) = op.rows(over: x.shape, quantize, result: node.result.shape)
        arguments.rows = rows
        append(
          MatrixProductStep(op.name, arguments, tiling, epilogue, kernels) {
            $0.a = UnsafePointer($1.bytes(source + start))
            $0.row_scale = UnsafePointer($1.floats(scales))
          })
      }
    case .int4(let w, let group):
      guard let panel else { preconditionFailure("int4 convolutions gather patches") }
      var arguments = banana_linear_int4()
      arguments.w = w
      arguments.n = Int32(n)
      arguments.group = Int32(group)
      arguments.groups = Int32(panel.sumsPerRow)
      arguments.row_stride = panel.rowBytes
      arguments.row_scale_rows = area
      append(
        PatchStep(op.name, arguments, panel, source: source, epilogue, kernels) {
          $0.row_scale = UnsafePointer($1.floats(scales))
        })
    }
  }
}

/// Bands of patches that one thread gathers into a panel of its own.
private struct PatchPanel {
  let op: Convolution
  /// The picture without a border, `[batch, y, x, channel]`.
  let shape: Shape
  let elementBytes: Int
  let rowBytes: Int
  /// Patches in a line, and in an item.
  let columns: Int
  let area: Int
  /// The byte outside the picture.
  var padding: UInt8 = 0
  /// int32 sums kept for each row, behind the panel.
  let sumsPerRow: Int
  /// A band lies within one item.
  let bandsPerItem: Split

  init(
    _ op: Convolution, _ shape: Shape, _ result: Shape, elementBytes: Int, rowBytes: Int,
    sumsPerRow: Int = 0
  ) {
    self.op = op
    self.shape = shape
    self.elementBytes = elementBytes
    self.rowBytes = rowBytes
    self.sumsPerRow = sumsPerRow
    columns = result[2]
    area = result[1] * result[2]
    bandsPerItem = Split(area, into: (area + 95) / 96)
  }

  var bandCount: Int { shape[0] * bandsPerItem.count }
  private var rowLimit: Int {
    (0..<bandsPerItem.count).map { bandsPerItem.range($0).count }.max() ?? 0
  }
  /// Kernels may read a vector past the last element that they use.
  var panelBytes: Int { (rowLimit * rowBytes + 127) / 64 * 64 }
  var byteCount: Int { panelBytes + (rowLimit * sumsPerRow * 4 + 63) / 64 * 64 }

  /// Gathers a band and returns its rows, counted over all items.
  func gather(
    _ band: Int, from pixels: UnsafePointer<UInt8>,
    into panel: UnsafeMutablePointer<UInt8>
  ) -> Range<Int> {
    let (item, part) = band.quotientAndRemainder(dividingBy: bandsPerItem.count)
    let range = bandsPerItem.range(part)
    var patches = banana_patches()
    patches.x = pixels + item * shape[1] * shape[2] * shape[3] * elementBytes
    patches.h = Int32(shape[1])
    patches.w = Int32(shape[2])
    patches.upsampling = Int32(op.upsampling)
    patches.pixel_bytes = Int32(shape[3] * elementBytes)
    patches.kernel_h = Int32(op.kernelHeight)
    patches.kernel_w = Int32(op.kernelWidth)
    patches.padding_top = Int32(op.paddingTop)
    patches.padding_left = Int32(op.paddingLeft)
    patches.stride = Int32(op.stride)
    patches.columns = Int32(columns)
    patches.padding = padding
    patches.row_stride = rowBytes
    banana_convolution_patches(&patches, Int32(range.lowerBound), Int32(range.upperBound), panel)
    return item * area + range.lowerBound..<item * area + range.upperBound
  }
}

/// Arguments of a product whose left operand can be gathered band by band.
private protocol PatchArguments: ProductArguments {
  /// Points at a band's gathered rows, as if the panel held every row of the picture.
  mutating func read(
    _ patches: UnsafeMutableRawPointer, _ rows: Range<Int>, of panel: PatchPanel,
    _ kernels: UnsafePointer<banana_kernels>)
}

extension banana_linear_f32: PatchArguments {
  fileprivate mutating func read(
    _ patches: UnsafeMutableRawPointer, _ rows: Range<Int>, of panel: PatchPanel,
    _ kernels: UnsafePointer<banana_kernels>
  ) {
    a = UnsafePointer(
      (patches - rows.lowerBound * panel.rowBytes).assumingMemoryBound(to: Float.self))
  }
}

extension banana_linear_int8: PatchArguments {
  fileprivate mutating func read(
    _ patches: UnsafeMutableRawPointer, _ rows: Range<Int>, of panel: PatchPanel,
    _ kernels: UnsafePointer<banana_kernels>
  ) {
    a = UnsafePointer(
      patches.assumingMemoryBound(to: UInt8.self) - rows.lowerBound * panel.rowBytes)
  }
}

extension banana_linear_int4: PatchArguments {
  fileprivate mutating func read(
    _ patches: UnsafeMutableRawPointer, _ rows: Range<Int>, of panel: PatchPanel,
    _ kernels: UnsafePointer<banana_kernels>
  ) {
    let signed = patches.assumingMemoryBound(to: Int8.self)
    let sums = (patches + panel.panelBytes).assumingMemoryBound(to: Int32.self)
    kernels.pointee.int4_group_sums(signed, panel.rowBytes, Int32(rows.count), groups, group, sums)
    a = UnsafePointer(signed - rows.lowerBound * panel.rowBytes)
    group_sums = UnsafePointer(sums - rows.lowerBound * panel.sumsPerRow)
  }
}

/// A convolution over gathered patches.
private final class PatchStep<Arguments: PatchArguments>: Step {
  private let arguments: Arguments
  private let panel: PatchPanel
  private let source: Place
  private let epilogue: PlacedEpilogue
  private let kernels: UnsafePointer<banana_kernels>
  private let kernel: Arguments.Kernel
  private let place: (inout Arguments, Memory) -> Void

  /// - Parameter place: Points the arguments at the scales of what they multiply.
  init(
    _ op: String, _ arguments: Arguments, _ panel: PatchPanel, source: Place,
    _ epilogue: PlacedEpilogue, _ kernels: UnsafePointer<banana_kernels>,
    place: @escaping (inout Arguments, Memory) -> Void
  ) {
    self.arguments = arguments
    self.panel = panel
    self.source = source
    self.epilogue = epilogue
    self.kernels = kernels
    self.place = place
    kernel = Arguments.kernel(of: kernels)
    super.init("\(op) \(Arguments.formatName) (patches)", taskCount: panel.bandCount)
  }

  override func perform(task: Int, worker: Int, in memory: Memory) {
    let patches = memory.worker(worker)
    let rows = panel.gather(
      task, from: memory.bytes(source),
      into: patches.assumingMemoryBound(to: UInt8.self))
    var band = arguments
    place(&band, memory)
    band.epilogue = epilogue.placed(memory)
    band.read(patches, rows, of: panel, kernels)
    kernel(&band, Int32(rows.lowerBound), Int32(rows.upperBound), 0, (band.n + 15) / 16)
  }
}
