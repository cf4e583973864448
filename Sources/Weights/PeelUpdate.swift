package import TensorTypes

extension PeelFile {
  /// The change to one layer: `W x + bias` becomes
  /// `out * W (in * x) + scale * up (down x) + bias + shift`.
  ///
  /// Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models", section 4.1; the scales
  /// are those of Liu et al. 2022, "Few-Shot Parameter-Efficient Fine-Tuning is Better and Cheaper
  /// than In-Context Learning" (IA3).
  package struct Update: Sendable {
    package let network: PeelNetwork
    /// The layer's name as the file gives it, without the network's root: `layers.0.qkv`, or in
    /// kohya's style `layers_0_qkv`.
    package let target: String
    /// What the product of the two factors is multiplied by: `alpha / rank`.
    package let scale: Float
    let product: PeelProduct?
    let scaling: Scaling?
    let shiftTensor: PeelTensor?
    let magnitudeTensor: PeelTensor?

    struct Scaling {
      let tensor: PeelTensor
      let isOnInput: Bool
    }

    /// 0 if there is no low-rank update.
    package var rank: Int { product?.rank ?? 0 }
    /// Of the low-rank update; those of a convolution are its inputs, with the places of its kernel
    /// innermost.
    package var inWidth: Int { product?.columns ?? 0 }
    package var outWidth: Int { product?.outputs ?? 0 }
    /// `[y, x]` of a convolution's kernel, where the file says that it is more than a point.
    package var kernel: Shape? { product?.kernel }

    /// `[rank, in]`; read from the file's bytes each time.
    package var down: [Float] { product?.down ?? [] }
    /// `[out, rank]`, times the scale; read from the file's bytes each time.
    package var up: [Float] { product?.up.map { $0 * scale } ?? [] }
    /// What is added to the bias, `[out]`.
    package var shift: [Float]? { shiftTensor?.numbers }
    /// What the outputs of the base are multiplied by, less 1.
    package var outputScale: [Float]? { scaling.flatMap { $0.isOnInput ? nil : $0.tensor.numbers } }
    /// What the inputs of the base are multiplied by, less 1.
    package var inputScale: [Float]? { scaling.flatMap { $0.isOnInput ? $0.tensor.numbers : nil } }
    /// The lengths of the changed weight's rows, `[out]`. Liu et al. 2024, "DoRA: Weight-Decomposed
    /// Low-Rank Adaptation", eq. 5.
    package var magnitudes: [Float]? { magnitudeTensor?.numbers }

    /// Whether nothing is changed by it.
    package var isNothing: Bool {
      let (up, down) = product?.magnitudes ?? (0, 0)
      return (up == 0 || down == 0) && (scaling?.tensor.magnitude ?? 0) == 0
        && (shiftTensor?.magnitude ?? 0) == 0 && !isDecomposed
    }

    /// Whether the changed weight's rows have lengths of their own.
    package var isDecomposed: Bool { magnitudeTensor != nil }
    package var scalesInputs: Bool { scaling?.isOnInput == true }
    package var scalesOutputs: Bool { scaling?.isOnInput == false || isDecomposed }
    package var shifts: Bool { shiftTensor != nil }

    /// Whether it is a change of a weight of so many inputs and outputs.
    /// - Parameter kernel: `[y, x]` of a convolution; nil for a linear.
    package func fits(outputs: Int, inputs: Int, kernel: Shape?) -> Bool {
      let places = kernel?.count ?? 1
      if let product {
        guard product.outputs == outputs, product.columns == inputs * places else { return false }
        if let own = product.kernel, own != kernel { return false }
      }
      if let scaling, scaling.tensor.shape != [scaling.isOnInput ? inputs : outputs] {
        return false
      }
      return [shiftTensor, magnitudeTensor].allSatisfy { $0 == nil || $0!.shape == [outputs] }
    }

    /// The shape of the weight that it is a change of, as far as it says.
    package var shape: Shape {
      guard let product else {
        return (scaling?.tensor ?? shiftTensor)?.shape ?? []
      }
      guard let kernel = product.kernel else { return [product.outputs, product.columns] }
      return [product.outputs, product.columns / kernel.count, kernel[0], kernel[1]]
    }

    /// No number of the change of the layer's weight is larger.
    var largest: Float {
      let (up, down) = product?.magnitudes ?? (0, 0)
      return max(Float(rank) * down * up * scale, scaling?.tensor.magnitude ?? 0)
    }
  }
}

extension PeelFile.Update: Equatable {
  package static func == (a: Self, b: Self) -> Bool {
    (a.network, a.target, a.rank, a.inWidth, a.outWidth)
      == (b.network, b.target, b.rank, b.inWidth, b.outWidth)
      && a.down == b.down && a.up == b.up && a.shift == b.shift
      && a.outputScale == b.outputScale && a.inputScale == b.inputScale
      && a.magnitudes == b.magnitudes
  }
}

/// The tensors of a file that belong to one layer.
struct PeelParts {
  private let name: PeelName
  private let file: SafetensorsFile
  private var tensors: [PeelName.Part: String] = [:]

  /// - Parameter name: One of the layer's.
  init(_ name: PeelName, _ file: SafetensorsFile) {
    self.name = name
    self.file = file
  }

  /// - Throws: `PeelError.duplicate`.
  mutating func add(_ tensor: String, _ name: PeelName) throws(PeelError) {
    if tensors.updateValue(tensor, forKey: name.part) != nil {
      throw .duplicate(target: name.target, part: name.part.rawValue)
    }
  }

  /// Tensors that only look like parts: a `weight` is one of IA3 only where it is said of what.
  var strayNames: [String] {
    guard let weight = tensors[.scaling], tensors[.isOnInput] == nil else { return [] }
    return [weight]
  }

  /// The change that the parts are.
  /// - Throws: `PeelError`.
  func update(_ scales: PeelScales) throws(PeelError) -> PeelFile.Update {
    let form = try form()
    let scale = try form.map { form throws(PeelError) in try self.scale(of: form, scales) } ?? 1
    let scaling = try scaling()
    let shift = try row(.shift)
    let magnitude = try magnitude()
    if form == nil, scaling == nil, shift == nil { throw missing(.down) }
    if magnitude != nil, form == nil { throw missing(.down) }
    let update = PeelFile.Update(
      network: name.network, target: name.target, scale: scale, product: form?.product,
      scaling: scaling, shiftTensor: shift, magnitudeTensor: magnitude)
    try check(update, form)
    return update
  }

  private func check(_ update: PeelFile.Update, _ form: Form?) throws(PeelError) {
    guard let form else { return }
    let rank = form.product.rank
    guard rank <= PeelFile.maximumRank else {
      if let name = form.name {
        throw .wideForm(name, target: self.name.target, rank: rank, maximum: PeelFile.maximumRank)
      }
      throw .wrongRank(target: name.target, rank: rank, maximum: PeelFile.maximumRank)
    }
    let (up, down) = form.product.magnitudes
    guard (up * update.scale).isFinite, down.isFinite else {
      throw .tooLargeNumbers(tensor: tensors[form.last] ?? "")
    }
  }

  /// A product, what its alpha is divided by, and what people call it.
  private struct Form {
    var product: PeelProduct
    /// nil where alpha does not count.
    var dimension: Int?
    var name: String?
    /// The part that errors name.
    var last: PeelName.Part
  }

  /// - Throws: `PeelError` if parts are missing or do not meet; nil where there is no product.
  private func form() throws(PeelError) -> Form? {
    let has = tensors.keys
    if has.contains(where: { $0.rawValue.hasPrefix("hada_") }) { return try hadamard() }
    if has.contains(where: { $0.rawValue.hasPrefix("lokr_") }) { return try kronecker() }
    guard [.down, .up, .core].contains(where: { tensors[$0] != nil }) else { return nil }
    let down = try tensor(.down)
    let product = try pair(.up, .core, .down)
    return Form(
      product: product, dimension: down.rows, name: tensors[.core] == nil ? nil : "LoCon",
      last: .up)
  }

  private func hadamard() throws(PeelError) -> Form {
    let first = try pair(.hadamardUp1, .hadamardCore1, .hadamardDown1, isTurned: true)
    let second = try pair(.hadamardUp2, .hadamardCore2, .hadamardDown2, isTurned: true)
    guard first.outputs == second.outputs, first.columns == second.columns else {
      throw .wrongShape(tensor: tensors[.hadamardUp2]!, shape: [second.outputs, second.columns])
    }
    let rank = try tensor(.hadamardDown1).rows
    return Form(
      product: .hadamard(first, second), dimension: rank, name: "LoHa of rank \(rank)",
      last: .hadamardUp2)
  }

  private func kronecker() throws(PeelError) -> Form {
    var dimension: Int?
    func factor(
      _ full: PeelName.Part, _ up: PeelName.Part, _ core: PeelName.Part?, _ down: PeelName.Part
    ) throws(PeelError) -> PeelProduct {
      if tensors[full] != nil { return .full(try tensor(full)) }
      dimension = try tensor(down).rows
      return try pair(up, core, down, isTurned: true)
    }
    let first = try factor(.kronecker1, .kroneckerUp1, nil, .kroneckerDown1)
    let second = try factor(.kronecker2, .kroneckerUp2, .kroneckerCore2, .kroneckerDown2)
    guard first.kernel == nil else {
      throw .wrongShape(tensor: tensors[.kronecker1]!, shape: try tensor(.kronecker1).shape)
    }
    let last: PeelName.Part = tensors[.kronecker2] == nil ? .kroneckerUp2 : .kronecker2
    return Form(
      product: .kronecker(first, second), dimension: dimension,
      name: "LoKr of factors [\(first.outputs), \(first.columns)] and [\(second.outputs), "
        + "\(second.columns)]", last: last)
  }

  /// - Parameter isTurned: Beside a core, `up` is `[rank, out]`.
  private func pair(
    _ up: PeelName.Part, _ core: PeelName.Part?, _ down: PeelName.Part, isTurned: Bool = false
  ) throws(PeelError) -> PeelProduct {
    let (downTensor, upTensor) = (try tensor(down), try tensor(up))
    func expect(_ first: Int, _ second: Int) throws(PeelError) {
      if first != second {
        throw .unequalRanks(target: name.target, down: first, up: second)
      }
    }
    guard upTensor.kernel == nil else {
      throw .wrongShape(tensor: tensors[up]!, shape: upTensor.shape)
    }
    guard let core, tensors[core] != nil else {
      try expect(downTensor.rows, upTensor.shape[1])
      return .pair(up: upTensor, down: downTensor)
    }
    let coreTensor = try tensor(core)
    guard downTensor.kernel == nil else {
      throw .wrongShape(tensor: tensors[down]!, shape: downTensor.shape)
    }
    // A core over a point is a matrix between the two.
    guard coreTensor.kernel != nil else {
      throw .wrongShape(tensor: tensors[core]!, shape: coreTensor.shape)
    }
    try expect(downTensor.rows, coreTensor.shape[1])
    try expect(coreTensor.shape[0], isTurned ? upTensor.rows : upTensor.columns)
    return .tucker(up: upTensor, isTurned: isTurned, core: coreTensor, down: downTensor)
  }

  private func tensor(_ part: PeelName.Part) throws(PeelError) -> PeelTensor {
    guard let tensor = tensors[part] else { throw missing(part) }
    return try PeelTensor(tensor, in: file)
  }

  private func row(_ part: PeelName.Part) throws(PeelError) -> PeelTensor? {
    guard let tensor = tensors[part] else { return nil }
    return try PeelTensor(row: tensor, in: file)
  }

  /// PEFT's are of outputs, whatever axis they lie along.
  private func magnitude() throws(PeelError) -> PeelTensor? {
    guard let name = tensors[.magnitude] else { return nil }
    let shape = file.tensor(named: name)!.shape
    if name.hasSuffix(PeelName.Part.magnitude.rawValue), shape.count > 1, shape[0] == 1 {
      throw .unsupportedForm("DoRA over inputs", tensor: name)
    }
    return try row(.magnitude)
  }

  private func missing(_ part: PeelName.Part) -> PeelError {
    .missingPart(target: name.target, part: part.rawValue)
  }
}

// Scales.
extension PeelParts {
  private func scale(of form: Form, _ scales: PeelScales) throws(PeelError) -> Float {
    guard let dimension = form.dimension else { return 1 }
    if let tensor = tensors[.alpha], let alpha = try Self.alpha(tensor, in: file) {
      return alpha / Float(dimension)
    }
    return try scales.scale(of: name, rank: dimension)
  }

  /// A layer's own alpha; nil if it is 0, by which sd-scripts mean the rank.
  private static func alpha(
    _ name: String, in file: SafetensorsFile
  ) throws(PeelError) -> Float? {
    guard let value = try number(name, in: file), value != 0 else { return nil }
    let alpha = Float(value)
    guard alpha > 0, alpha.isFinite else { throw .invalidAlpha(where: "\"\(name.excerpt)\"") }
    return alpha
  }

  private static func number(
    _ name: String, in file: SafetensorsFile
  ) throws(PeelError) -> Double? {
    let tensor = file.tensor(named: name)!
    guard let value = PeelTensor.scalar(tensor) else {
      throw tensor.shape.count == 1
        ? .wrongType(tensor: name, type: tensor.type)
        : .wrongShape(tensor: name, shape: tensor.shape)
    }
    return value
  }

  private func scaling() throws(PeelError) -> PeelFile.Update.Scaling? {
    guard let flag = tensors[.isOnInput] else { return nil }
    guard let tensor = try row(.scaling) else { throw missing(.scaling) }
    let isOnInput = try Self.number(flag, in: file) != 0
    return PeelFile.Update.Scaling(tensor: tensor, isOnInput: isOnInput)
  }
}
