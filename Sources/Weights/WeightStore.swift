package import TensorTypes

/// The weights in one or several .safetensors files, by the names that the network gives them.
///
/// The name of a tensor says how its numbers are written: `NAME` plain, `NAME.int8`,
/// `NAME.int4g32`, `NAME.int4g64`, `NAME.int8rows`, `NAME.int4g32rows`, `NAME.int4g64rows`, with
/// `NAME.scale` beside the int8 forms. `NAME.smooth` beside `NAME.int8` and `NAME.int4…` is what
/// each of its inputs is multiplied by before it is rounded, and the stored numbers are divided by:
/// Xiao et al. 2022, "SmoothQuant: Accurate and Efficient Post-Training Quantization for Large
/// Language Models". `NAME.zero` beside `NAME.int8` is the byte that an input of zero becomes.
package struct WeightStore: Sendable {
  private struct Location {
    let tensor: SafetensorsFile.Tensor
    let file: SafetensorsFile

    var isChecked: Bool { file.file.isChecked }
  }

  private static let forms: [(suffix: String, format: StorageFormat)] = [
    (".int8", .int8), (".int4g32", .int4(group: 32)), (".int4g64", .int4(group: 64)),
    (".int8rows", .int8Rows), (".int4g32rows", .int4Rows(group: 32)),
    (".int4g64rows", .int4Rows(group: 64)),
  ]

  private var locations: [String: Location] = [:]

  /// - Throws: `WeightError.duplicate` if two files have a tensor of the same name.
  package init(files: [SafetensorsFile]) throws(WeightError) {
    for file in files {
      for name in file.names {
        let location = Location(tensor: file.tensor(named: name)!, file: file)
        if locations.updateValue(location, forKey: name) != nil { throw .duplicate(tensor: name) }
      }
    }
  }

  /// A store of tensors that are in no file, under the rules of one.
  package init(inMemory tensors: [SafetensorsWriter.Tensor]) throws(WeightError) {
    let contents = MappedFile(contents: SafetensorsWriter.bytes(tensors), path: "memory")
    let file: SafetensorsFile
    do throws(SafetensorsError) {
      file = try SafetensorsFile(file: contents)
    } catch {
      preconditionFailure("a file as written cannot be read: \(error)")
    }
    try self.init(files: [file])
  }

  /// The weight that the network calls `name`, its numbers checked.
  /// - Parameter logicalShape: The shape that the network expects; a plain weight may also be
  ///   stored as the matrix `[out, everything else]`.
  /// - Throws: `WeightError`.
  package func weight(
    named name: String, logicalShape: Shape
  ) throws(WeightError) -> StoredWeight {
    let candidates = self.candidates(for: name)
    guard let found = candidates.first else { throw .missing(weight: name) }
    if candidates.count > 1 { throw .ambiguous(weight: name, tensors: candidates.map(\.name)) }
    let location = locations[found.name]!
    guard let format = found.format else {
      return try plain(found.name, location, logicalShape: logicalShape)
    }
    let (type, shape) = try Self.layout(of: found.name, format, logicalShape: logicalShape)
    try Self.expect(found.name, location.tensor, types: [type], shapes: [shape])
    if !location.isChecked {
      try Self.checkNumbers(of: found.name, location.tensor, format: format)
    }
    var owners: [any AnyObject & Sendable] = []
    // Rows are gathered one by one and need no alignment; blocks are read 64 bytes at a time.
    let alignment =
      switch format {
      case .int8, .int4: 64
      default: 1
      }
    let data = Self.aligned(location, to: alignment, owners: &owners)
    var scales: UnsafeBufferPointer<Float>?
    if type == .int8 {
      scales = try self.scales(of: name, tensor: found.name, logicalShape[0], owners: &owners)
    }
    var smoothing: UnsafeBufferPointer<Float>?
    if alignment == 64, locations[Self.smoothingName(name)] != nil {
      smoothing = try self.smoothing(of: name, logicalShape.last, owners: &owners)
    }
    if format == .int8, let zero = locations[Self.zeroPointName(name)]?.tensor {
      try Self.expect(Self.zeroPointName(name), zero, types: [.int8], shapes: [[1]])
      guard -126...126 ~= zeroPoint(of: name) else {
        throw .zeroPointOutOfRange(tensor: Self.zeroPointName(name))
      }
    }
    return StoredWeight(
      format: format, logicalShape: logicalShape, data: data, scales: scales,
      smoothing: smoothing, owners: owners)
  }

  /// The tensors that none of the weights called `used` is stored in, sorted: a file that maps to
  /// nothing has been made for another network.
  package func unusedNames(after used: some Sequence<String>) -> [String] {
    var unused = Set(locations.keys)
    for name in used {
      for candidate in candidates(for: name) {
        unused.remove(candidate.name)
        switch candidate.format {
        case .int8, .int8Rows: unused.remove(name + ".scale")
        default: break
        }
        switch candidate.format {
        case .int8, .int4: unused.remove(Self.smoothingName(name))
        default: break
        }
        if candidate.format == .int8 { unused.remove(Self.zeroPointName(name)) }
      }
    }
    return unused.sorted()
  }

  /// How a weight is quantized; nil if its numbers are plain, or if it is not there.
  package func quantization(of name: String) -> StorageFormat? {
    candidates(for: name).first?.format
  }

  /// The tensor that a weight's smoothing is in, `[in]`.
  package static func smoothingName(_ weight: String) -> String { weight + ".smooth" }

  /// What the inputs of a weight are multiplied by before they are rounded, as the file has it;
  /// nil where they are rounded as they are.
  package func smoothing(of name: String) -> UnsafeRawBufferPointer? {
    locations[Self.smoothingName(name)]?.tensor.bytes
  }

  /// The tensor that the zero point of a weight's inputs is in.
  package static func zeroPointName(_ weight: String) -> String { weight + ".zero" }

  /// The byte that an input of zero becomes; of a weight that was checked, -126...126.
  package func zeroPoint(of name: String) -> Int {
    guard quantization(of: name) == .int8,
      let byte = locations[Self.zeroPointName(name)]?.tensor.bytes.first
    else { return 0 }
    return Int(Int8(bitPattern: byte))
  }

  /// Bytes that a weight takes as it is stored, scales apart from its numbers included; 0 if it is
  /// not there.
  package func storedBytes(of name: String) -> (numbers: Int, scales: Int) {
    guard let found = candidates(for: name).first else { return (0, 0) }
    let scales =
      switch found.format {
      case .int8, .int8Rows: locations[name + ".scale"]?.tensor.bytes.count ?? 0
      default: 0
      }
    return (locations[found.name]?.tensor.bytes.count ?? 0, scales)
  }

  private func candidates(for name: String) -> [(name: String, format: StorageFormat?)] {
    let plain = locations[name] == nil ? [] : [(name: name, format: StorageFormat?.none)]
    return plain
      + Self.forms.compactMap { form in
        let tensor = name + form.suffix
        return locations[tensor] == nil ? nil : (name: tensor, format: form.format)
      }
  }

  private func plain(
    _ name: String, _ location: Location, logicalShape: Shape
  ) throws(WeightError) -> StoredWeight {
    var shapes = [logicalShape]
    if logicalShape.rank > 2, logicalShape[0] > 0 {
      shapes.append([logicalShape[0], logicalShape.count / logicalShape[0]])
    }
    try Self.expect(
      name, location.tensor, types: [.float32, .float16, .bfloat16], shapes: shapes)
    let format: StorageFormat =
      switch location.tensor.type {
      case .float16: .float16
      case .bfloat16: .bfloat16
      default: .float32
      }
    guard location.isChecked || Finiteness.holds(location.tensor.bytes, format: format) else {
      throw .notFinite(tensor: name)
    }
    var owners: [any AnyObject & Sendable] = []
    let data = Self.aligned(location, to: location.tensor.type.byteCount, owners: &owners)
    return StoredWeight(
      format: format, logicalShape: logicalShape, data: data, scales: nil, smoothing: nil,
      owners: owners)
  }

  private func scales(
    of name: String, tensor: String, _ rows: Int, owners: inout [any AnyObject & Sendable]
  ) throws(WeightError) -> UnsafeBufferPointer<Float> {
    let scaleName = name + ".scale"
    guard let location = locations[scaleName] else {
      throw .missingScale(weight: name, tensor: tensor)
    }
    try Self.expect(scaleName, location.tensor, types: [.float32], shapes: [[rows]])
    guard location.isChecked || Finiteness.holds(location.tensor.bytes, format: .float32) else {
      throw .notFinite(tensor: scaleName)
    }
    return Self.aligned(location, to: 4, owners: &owners).bindMemory(to: Float.self)
  }

  private func smoothing(
    of weight: String, _ inputs: Int, owners: inout [any AnyObject & Sendable]
  ) throws(WeightError) -> UnsafeBufferPointer<Float> {
    let name = Self.smoothingName(weight)
    let location = locations[name]!
    try Self.expect(name, location.tensor, types: [.float32], shapes: [[inputs]])
    let factors = Self.aligned(location, to: 4, owners: &owners).bindMemory(to: Float.self)
    if !location.isChecked, !factors.allSatisfy({ $0.isNormal && $0 > 0 }) {
      throw .notPositive(tensor: name)
    }
    return factors
  }

  /// The type and shape of a tensor that stores a weight of `logicalShape` in `format`.
  private static func layout(
    of tensor: String, _ format: StorageFormat, logicalShape: Shape
  ) throws(WeightError) -> (type: SafetensorsType, shape: Shape) {
    guard logicalShape.rank >= 2, logicalShape.count > 0 else {
      throw .unfitForm(tensor: tensor, logicalShape: logicalShape)
    }
    let rows = logicalShape[0]
    let columns = logicalShape.count / rows
    let blocks = BlockLayout.blocks(of: rows)
    switch format {
    case .int8:
      let quads = BlockLayout.quads(of: columns)
      return (.int8, [blocks, quads, BlockLayout.outputs, BlockLayout.inputs])
    case .int4(let group):
      let groups = (columns + group - 1) / group
      return (.uint8, [blocks, groups, BlockLayout.int4RecordByteCount(group: group)])
    case .int8Rows: return (.int8, [rows, columns])
    case .int4Rows(let group) where columns % group == 0:
      return (
        .uint8, [rows, columns / group, BlockLayout.int4RowRecordByteCount(group: group)]
      )
    default: throw .unfitForm(tensor: tensor, logicalShape: logicalShape)
    }
  }

  private static func expect(
    _ name: String, _ tensor: SafetensorsFile.Tensor, types: [SafetensorsType], shapes: [Shape]
  ) throws(WeightError) {
    guard types.contains(tensor.type) else { throw .wrongType(tensor: name, type: tensor.type) }
    guard shapes.contains(tensor.shape) else {
      throw .wrongShape(tensor: name, expected: shapes[0], actual: tensor.shape)
    }
  }

  private static func checkNumbers(
    of name: String, _ tensor: SafetensorsFile.Tensor, format: StorageFormat
  ) throws(WeightError) {
    switch format {
    case .int8, .int8Rows:
      if Finiteness.containsMinusOneHundredTwentyEight(tensor.bytes) {
        throw .outOfRange(tensor: name)
      }
    case .int4, .int4Rows:
      let record = tensor.shape.last
      let scales = if case .int4 = format { BlockLayout.outputs } else { 1 }
      for base in stride(from: 0, to: tensor.bytes.count, by: record) {
        let bytes = UnsafeRawBufferPointer(rebasing: tensor.bytes[base..<base + 2 * scales])
        if !Finiteness.holds(bytes, format: .float16) { throw .notFinite(tensor: name) }
      }
    default: break
    }
  }

  /// The tensor's bytes where they lie if they are aligned, otherwise a copy.
  private static func aligned(
    _ location: Location, to alignment: Int, owners: inout [any AnyObject & Sendable]
  ) -> UnsafeRawBufferPointer {
    let bytes = location.tensor.bytes
    if Int(bitPattern: bytes.baseAddress) % alignment == 0 {
      owners.append(location.file)
      return bytes
    }
    let copy = HostBuffer(byteCount: bytes.count)
    copy.bytes.copyMemory(from: bytes)
    owners.append(copy)
    return UnsafeRawBufferPointer(rebasing: copy.bytes[..<bytes.count])
  }
}
