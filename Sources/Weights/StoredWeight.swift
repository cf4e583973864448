package import TensorTypes

/// A weight as it lies in a file: read in place by kernels that know its format.
package struct StoredWeight: @unchecked Sendable {
  package let format: StorageFormat
  /// The shape that the network sees: `[out, in]`, `[out, kernelHeight, kernelWidth, in]`, ...
  package let logicalShape: Shape
  /// The numbers in `format`'s layout. Aligned to 64 bytes for `int8` and `int4`, to the size of
  /// a number otherwise.
  package let data: UnsafeRawBufferPointer
  /// `[out]` f32 of `int8` and `int8Rows`, nil for the other formats.
  package let scales: UnsafeBufferPointer<Float>?
  /// `[in]`, above zero: what inputs are multiplied by before they are rounded, so that those that
  /// are far larger than others may share their scale; `data` holds the weight divided by it. Nil
  /// where both are as they are.
  package let smoothing: UnsafeBufferPointer<Float>?
  /// What keeps these in memory: hold the weight, or the owners, as long as you use them.
  package let owners: [any AnyObject & Sendable]

  /// The first extent: outputs of a matrix, rows of a table.
  private var rows: Int { logicalShape.rank == 0 ? 1 : logicalShape[0] }
  /// Everything behind the first extent.
  private var columns: Int { rows == 0 ? 0 : logicalShape.count / rows }

  /// The numbers in f32, row-major in the logical shape: the slow and plain reading of every
  /// format, which kernels are checked against.
  package func dequantized() -> [Float] {
    let stored = storedNumbers()
    guard let smoothing else { return stored }
    return stored.indices.map { stored[$0] * smoothing[$0 % smoothing.count] }
  }

  private func storedNumbers() -> [Float] {
    switch format {
    case .float32: Array(data.bindMemory(to: Float.self))
    case .float16: data.bindMemory(to: Float16.self).map { Float($0) }
    case .bfloat16: data.bindMemory(to: UInt16.self).map { Float(bitPattern: UInt32($0) << 16) }
    case .int8: blockedInt8()
    case .int4(let group): blockedInt4(group: group)
    case .int8Rows:
      elements { row, column in Float(int8(row * columns + column)) * scales![row] }
    case .int4Rows(let group): int4Rows(group: group)
    }
  }

  private func elements(_ value: (_ row: Int, _ column: Int) -> Float) -> [Float] {
    var values: [Float] = []
    values.reserveCapacity(logicalShape.count)
    for row in 0..<rows {
      for column in 0..<columns { values.append(value(row, column)) }
    }
    return values
  }

  private func int8(_ index: Int) -> Int8 { Int8(bitPattern: data[index]) }

  private func half(_ offset: Int) -> Float {
    Float(data.loadUnaligned(fromByteOffset: offset, as: Float16.self))
  }

  /// The low half of a byte for even `index`, the high one for odd; 8 stands for 0.
  private func nibble(_ offset: Int, _ index: Int) -> Float {
    Float(Int(data[offset] >> (index % 2 == 0 ? 0 : 4) & 0xF) - 8)
  }

  private func blockedInt8() -> [Float] {
    let (outputs, inputs) = (BlockLayout.outputs, BlockLayout.inputs)
    let quads = BlockLayout.quads(of: columns)
    return elements { o, i in
      let block = o / outputs * quads + i / inputs
      return Float(int8((block * outputs + o % outputs) * inputs + i % inputs)) * scales![o]
    }
  }

  private func blockedInt4(group: Int) -> [Float] {
    let outputs = BlockLayout.outputs
    let record = BlockLayout.int4RecordByteCount(group: group)
    let groups = (columns + group - 1) / group
    return elements { o, i in
      let base = (o / outputs * groups + i / group) * record
      let quad = i % group / 4
      let byte = base + 2 * outputs + (quad * outputs + o % outputs) * 2 + i % 4 / 2
      return nibble(byte, i) * half(base + 2 * (o % outputs))
    }
  }

  private func int4Rows(group: Int) -> [Float] {
    let record = BlockLayout.int4RowRecordByteCount(group: group)
    return elements { row, column in
      let base = (row * (columns / group) + column / group) * record
      return nibble(base + 2 + column % group / 2, column) * half(base)
    }
  }
}
