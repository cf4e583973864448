import Graph
import TensorTypes
import Weights

/// A package's file of one component's weights, written tensor by tensor from those of a
/// checkpoint.
struct WeightFile {
  /// What became of a weight.
  struct Record {
    let name: String
    let shape: Shape
    let format: StorageFormat
    /// Signal over noise of what it is multiplied to, as far as the sizes of its inputs are known;
    /// nil for what is not rounded to integers.
    let decibels: Double?
  }

  private struct Planned {
    let weight: MatchedWeight
    let format: StorageFormat
    let inputs: InputRounding?
  }

  let path: String
  let entries: [SafetensorsWriter.Entry]
  private let planned: [String: Planned]

  init(
    path: String, _ weights: [MatchedWeight], formats: [WeightReference: StorageFormat],
    _ inputs: InputRoundings
  ) {
    self.path = path
    var entries: [SafetensorsWriter.Entry] = []
    var planned: [String: Planned] = [:]
    for weight in weights {
      let format = formats[weight.reference] ?? .float32
      let inputs = inputs[weight.reference]
      let parts = Self.entries(weight.reference, format, inputs)
      planned[parts[0].name] = Planned(weight: weight, format: format, inputs: inputs)
      entries += parts
    }
    self.entries = entries
    self.planned = planned
  }

  /// The tensors that store a weight; the first has its numbers.
  private static func entries(
    _ weight: WeightReference, _ format: StorageFormat, _ inputs: InputRounding?
  ) -> [SafetensorsWriter.Entry] {
    var entries = Self.entries(weight, format)
    if let smoothing = inputs?.smoothing {
      entries.append(
        .init(
          name: WeightStore.smoothingName(weight.name), type: .float32,
          shape: [smoothing.count]))
    }
    if format == .int8, let zeroPoint = inputs?.zeroPoint, zeroPoint != 0 {
      entries.append(
        .init(name: WeightStore.zeroPointName(weight.name), type: .int8, shape: [1]))
    }
    return entries
  }

  private static func entries(
    _ weight: WeightReference, _ format: StorageFormat
  ) -> [SafetensorsWriter.Entry] {
    let shape = weight.shape
    let (name, rows) = (weight.name, shape.rank < 2 ? 1 : shape[0])
    let columns = rows == 0 ? 0 : shape.count / rows
    switch format {
    case .int8:
      return [
        .init(
          name: name + ".int8", type: .int8,
          shape: [
            BlockLayout.blocks(of: rows), BlockLayout.quads(of: columns), BlockLayout.outputs,
            BlockLayout.inputs,
          ]),
        .init(name: name + ".scale", type: .float32, shape: [rows]),
      ]
    case .int4(let group):
      return [
        .init(
          name: "\(name).int4g\(group)", type: .uint8,
          shape: [
            BlockLayout.blocks(of: rows), (columns + group - 1) / group,
            BlockLayout.int4RecordByteCount(group: group),
          ])
      ]
    case .float16: return [.init(name: name, type: .float16, shape: shape.dimensions)]
    default: return [.init(name: name, type: .float32, shape: shape.dimensions)]
    }
  }

  /// Of all tensors, without the header.
  var byteCount: Int {
    entries.reduce(0) { $0 + $1.shape.reduce($1.type.byteCount, *) }
  }

  /// Of what is read.
  var sourceByteCount: Int { planned.values.reduce(0) { $0 + $1.weight.source.bytes.count } }

  /// Writes the file.
  /// - Parameter progress: Takes how many of the source's bytes were read just now; throws to stop.
  /// - Throws: `ImportError`.
  func write(
    progress: (Int) throws(ImportError) -> Void
  ) throws(ImportError) -> [Record] {
    var records: [Record] = []
    // What is behind a weight's numbers, by its name.
    var others: [String: [UInt8]] = [:]
    func write(
      _ entry: SafetensorsWriter.Entry, _ file: UnfinishedFile
    ) throws(ImportError) {
      guard let planned = planned[entry.name] else {
        return try Self.append(others.removeValue(forKey: entry.name)!, to: file)
      }
      let reference = planned.weight.reference
      let error = try Self.append(planned, to: file, progress) {
        others[reference.name + ".scale"] = $0.withUnsafeBytes { Array($0) }
      }
      others[WeightStore.smoothingName(reference.name)] =
        planned.inputs?.smoothing?.withUnsafeBytes { Array($0) }
      others[WeightStore.zeroPointName(reference.name)] =
        (planned.inputs?.zeroPoint).map { [UInt8(bitPattern: Int8($0))] }
      records.append(
        Record(
          name: reference.name, shape: reference.shape, format: planned.format,
          decibels: error?.decibels))
    }
    try SafetensorsWriter.write(entries, to: path, failing: { ImportError.file($0) }, write)
    return records
  }

  private static func append(
    _ planned: Planned, to file: UnfinishedFile, _ progress: (Int) throws(ImportError) -> Void,
    scales: ([Float]) -> Void
  ) throws(ImportError) -> QuantizationError? {
    let rows = SourceRows(planned.weight)
    var quantized = QuantizedRows(columns: rows.columns, planned.inputs)
    var start = 0
    while start < rows.rows {
      let range = start..<min(start + rows.piece, rows.rows)
      let numbers = try rows.read(range)
      try append(try bytes(numbers, planned, &quantized), to: file)
      try progress(range.count * rows.columns * planned.weight.source.type.byteCount)
      start = range.upperBound
    }
    switch planned.format {
    case .int8:
      scales(quantized.scales)
      return quantized.error
    case .int4: return quantized.error
    default: return nil
    }
  }

  private static func bytes(
    _ numbers: [Float], _ planned: Planned, _ quantized: inout QuantizedRows
  ) throws(ImportError) -> [UInt8] {
    switch planned.format {
    case .int8: return blocks(numbers, quantized.columns) { quantized.int8($0) }
    case .int4: return blocks(numbers, quantized.columns) { quantized.int4($0) }
    case .float16:
      let halves = numbers.map { Float16($0) }
      if !halves.allSatisfy(\.isFinite) {
        throw .tooLarge(path: planned.weight.source.path, tensor: planned.weight.source.name)
      }
      return halves.withUnsafeBytes { Array($0) }
    default: return numbers.withUnsafeBytes { Array($0) }
    }
  }

  private static func blocks(
    _ numbers: [Float], _ columns: Int, _ block: (UnsafeBufferPointer<Float>) -> [UInt8]
  ) -> [UInt8] {
    var bytes: [UInt8] = []
    let step = BlockLayout.outputs * columns
    numbers.withUnsafeBufferPointer { numbers in
      for start in stride(from: 0, to: numbers.count, by: max(step, 1)) {
        let end = min(start + step, numbers.count)
        bytes += block(UnsafeBufferPointer(rebasing: numbers[start..<end]))
      }
    }
    return bytes
  }

  private static func append(_ bytes: [UInt8], to file: UnfinishedFile) throws(ImportError) {
    do throws(FileError) { try file.append(bytes) } catch { throw .file(error) }
  }
}
