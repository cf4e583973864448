import CKernels
import Execution
import Graph
import TensorTypes

extension Lowering {
  mutating func lower(_ op: Convolution, _ node: Node) throws(ExecutionError) {
    let epilogue = ArenaEpilogue(
      plan, node, bias: try op.bias.map(weights.vector), form: op.epilogue)
    let picture = PaddedPicture(
      shape: node.operands[0].shape, kernelHeight: op.weight.shape[1],
      kernelWidth: op.weight.shape[2])
    let source = offset(node.operands[0])
    let n = op.weight.shape[0]
    let tiling = Tiling(rows: picture.pixels, outputs: n, inputs: picture.inputs)
    quantized = nil
    switch try weights.matrix(op.weight) {
    case .float32(let w):
      var arguments = banana_linear_f32()
      arguments.w = w
      arguments.n = Int32(n)
      arguments.rows = picture.rows
      if picture.isPadded {
        needs.operand(bytes: picture.paddedCount * 4)
        append(PadStep(picture, source: source))
        append(ProductStep("convolution", arguments, tiling, epilogue, kernels))
      } else {
        append(
          ProductStep("convolution", arguments, tiling, epilogue, kernels) {
            $0.a = UnsafePointer($1.floats(source))
          })
      }
    case .int8(let w, let scales, let initial):
      var arguments = banana_linear_int8()
      arguments.w = w
      arguments.w_scale = scales
      arguments.initial = initial
      arguments.n = Int32(n)
      arguments.row_scale_rows = Int32(picture.height * picture.width)
      // The blocks hold four consecutive inputs; where a kernel line does not end with a block,
      // patches are gathered into whole rows.
      if picture.lineLength % BlockLayout.inputs == 0 {
        quantizePicture(picture, source: source, xor: kernels.pointee.activation_offset)
        arguments.rows = picture.rows
        append(ProductStep("convolution", arguments, tiling, epilogue, kernels))
      } else {
        let stride = BlockLayout.quads(of: picture.inputs) * BlockLayout.inputs
        let panel = PatchPanel(
          picture, stride: stride, padding: kernels.pointee.activation_offset)
        quantizePicture(
          picture.withoutPadding, source: source, xor: kernels.pointee.activation_offset)
        arguments.rows = contiguousRows(stride: stride, length: stride)
        needs.worker(bytes: panel.byteCount)
        append(PatchStep(arguments, panel, epilogue, kernels))
      }
    case .int4(let w, let group):
      let groups = (picture.inputs + group - 1) / group
      var arguments = banana_linear_int4()
      arguments.w = w
      arguments.n = Int32(n)
      arguments.group = Int32(group)
      arguments.groups = Int32(groups)
      arguments.row_stride = groups * group
      arguments.row_scale_rows = Int32(picture.height * picture.width)
      let panel = PatchPanel(picture, stride: groups * group, padding: 0, sumsPerRow: groups)
      quantizePicture(picture.withoutPadding, source: source, xor: 0)
      needs.worker(bytes: panel.byteCount)
      append(PatchStep(arguments, panel, epilogue, kernels))
    }
  }

  /// Quantizes a convolution's input into scratch with one scale a batch item.
  private mutating func quantizePicture(_ picture: PaddedPicture, source: Int, xor: UInt8) {
    let maximum = AbsoluteMaximumStep(picture, source: source, kernels)
    // The partial maxima lie behind the scales.
    needs.operand(
      bytes: picture.paddedCount, scales: picture.items + maximum.taskCount)
    append(maximum)
    append(QuantizePictureStep(picture, source: source, xor: xor, maxima: maximum, kernels))
  }
}

/// A picture `[item, y, x, channel]` with a border as wide as half the kernel.
struct PaddedPicture {
  let items: Int
  let height: Int
  let width: Int
  let channels: Int
  let kernelHeight: Int
  let kernelWidth: Int
  let border: (y: Int, x: Int)

  init(shape: Shape, kernelHeight: Int, kernelWidth: Int) {
    (items, height, width, channels) = (shape[0], shape[1], shape[2], shape[3])
    self.kernelHeight = kernelHeight
    self.kernelWidth = kernelWidth
    border = (kernelHeight / 2, kernelWidth / 2)
  }

  private init(unpadded picture: PaddedPicture) {
    (items, height, width) = (picture.items, picture.height, picture.width)
    channels = picture.channels
    (kernelHeight, kernelWidth) = (picture.kernelHeight, picture.kernelWidth)
    border = (0, 0)
  }

  /// The same picture stored without a border, for gathering patches.
  var withoutPadding: PaddedPicture { PaddedPicture(unpadded: self) }

  var isPadded: Bool { border.y > 0 || border.x > 0 }
  var pixels: Int { items * height * width }
  /// Inputs of one output.
  var inputs: Int { kernelHeight * kernelWidth * channels }
  /// Inputs in one line of the kernel.
  var lineLength: Int { kernelWidth * channels }

  var paddedHeight: Int { height + 2 * border.y }
  /// Elements between lines.
  var lineStride: Int { (width + 2 * border.x) * channels }
  var itemStride: Int { paddedHeight * lineStride }
  var paddedCount: Int { items * itemStride }

  var rows: banana_rows {
    var rows = banana_rows()
    rows.row_stride = channels
    rows.line_rows = Int32(width)
    rows.item_lines = Int32(height)
    rows.line_stride = lineStride
    rows.item_stride = itemStride
    rows.segments = Int32(kernelHeight)
    rows.segment_length = Int32(lineLength)
    rows.segment_stride = lineStride
    return rows
  }
}

/// Bands of pixels whose patches one thread gathers into a panel of its own.
struct PatchPanel {
  let picture: PaddedPicture
  /// Bytes of a row.
  let stride: Int
  let padding: UInt8
  /// int32 sums kept for each row, behind the panel.
  let sumsPerRow: Int
  /// A band lies within one item.
  let bandsPerItem: Split

  init(_ picture: PaddedPicture, stride: Int, padding: UInt8, sumsPerRow: Int = 0) {
    self.picture = picture
    self.stride = stride
    self.padding = padding
    self.sumsPerRow = sumsPerRow
    let area = picture.height * picture.width
    bandsPerItem = Split(area, into: (area + 95) / 96)
  }

  var bandCount: Int { picture.items * bandsPerItem.count }
  private var rowLimit: Int {
    (0..<bandsPerItem.count).map { bandsPerItem.range($0).count }.max() ?? 0
  }
  var panelBytes: Int { (rowLimit * stride + 127) / 64 * 64 }
  var byteCount: Int { panelBytes + rowLimit * sumsPerRow * 4 }

  /// Gathers a band from quantized pixels and returns its rows, counted over all items.
  func gather(
    _ band: Int, from pixels: UnsafePointer<UInt8>, into panel: UnsafeMutablePointer<UInt8>
  ) -> Range<Int> {
    let area = picture.height * picture.width
    let (item, part) = band.quotientAndRemainder(dividingBy: bandsPerItem.count)
    let range = bandsPerItem.range(part)
    var patches = banana_patches()
    patches.x = pixels + item * area * picture.channels
    patches.h = Int32(picture.height)
    patches.w = Int32(picture.width)
    patches.pixel_bytes = Int32(picture.channels)
    patches.kernel_h = Int32(picture.kernelHeight)
    patches.kernel_w = Int32(picture.kernelWidth)
    patches.padding = padding
    patches.row_stride = stride
    banana_gather_patches(&patches, Int32(range.lowerBound), Int32(range.upperBound), panel)
    return item * area + range.lowerBound..<item * area + range.upperBound
  }
}
