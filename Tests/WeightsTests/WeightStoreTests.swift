import TensorTypes
import Testing

@testable import Weights

@Suite struct WeightStoreTests {
  /// Half a quantization step for integers, relative error for the short floats.
  @Test(arguments: [(1, 4), (16, 32), (17, 64), (40, 100), (3, 33)])
  func everyFormatIsReadBack(size: (rows: Int, columns: Int)) throws {
    let (rows, columns) = size
    let matrix = Quantization(rows: rows, columns: columns, seed: UInt64(rows))
    var cases: [(StorageFormat, [SafetensorsWriter.Tensor], tolerance: Float)] = [
      (.float32, [matrix.plainTensor("w", type: .float32)], 0),
      (.float16, [matrix.plainTensor("w", type: .float16)], 2 / 1024),
      (.bfloat16, [matrix.plainTensor("w", type: .bfloat16)], 2 / 128),
      (.int8, matrix.int8Tensors("w"), 2 / 254 + 1e-6),
      (.int8Rows, matrix.int8RowTensors("w"), 2 / 254 + 1e-6),
      (.int4(group: 32), matrix.int4Tensors("w", group: 32), 2 / 14 + 0.01),
      (.int4(group: 64), matrix.int4Tensors("w", group: 64), 2 / 14 + 0.01),
    ]
    if columns % 32 == 0 {
      cases.append((.int4Rows(group: 32), matrix.int4RowTensors("w", group: 32), 2 / 14 + 0.01))
    }
    for (format, tensors, tolerance) in cases {
      let store = try WeightStore(inMemory: tensors)
      let weight = try store.weight(named: "w", logicalShape: [rows, columns])
      #expect(weight.format == format)
      #expect((weight.scales?.count ?? rows) == rows)
      let values = weight.dequantized()
      try #require(values.count == rows * columns)
      let error = zip(values, matrix.values).map { abs($0 - $1) }.max()!
      #expect(error <= tolerance, "\(format): \(error)")
      #expect(store.unusedNames(after: ["w"]).isEmpty)
      #expect(store.unusedNames(after: []) == tensors.map(\.name).sorted())
    }
  }

  /// The worked example of the format: where one element of each layout lies.
  @Test func layoutsAreThoseOfTheFormat() throws {
    var int8 = [UInt8](repeating: 0, count: 2 * 2 * 64)
    int8[((1 * 2 + 1) * 16 + 3) * 4 + 2] = UInt8(bitPattern: -5)
    var int4 = [UInt8](repeating: 0x88, count: 2 * 288)
    int4.replaceSubrange(288..<320, with: littleEndianBytes([Float16](repeating: 0.5, count: 16)))
    int4.replaceSubrange(0..<32, with: [UInt8](repeating: 0, count: 32))
    int4[288 + 32 + (1 * 16 + 3) * 2 + 1] = 0xF8
    let store = try WeightStore(inMemory: [
      .init(name: "a.int8", type: .int8, shape: [2, 2, 16, 4], bytes: int8),
      .init(
        name: "a.scale", type: .float32, shape: [20],
        bytes: littleEndianBytes([Float](repeating: 2, count: 20))),
      .init(name: "b.int4g32", type: .uint8, shape: [1, 2, 288], bytes: int4),
    ])
    let a = try store.weight(named: "a", logicalShape: [20, 7]).dequantized()
    #expect(a[19 * 7 + 6] == -10)
    #expect(a.filter { $0 != 0 }.count == 1)
    let b = try store.weight(named: "b", logicalShape: [5, 40]).dequantized()
    #expect(b[3 * 40 + 32 + 7] == 3.5)
    #expect(b.filter { $0 != 0 }.count == 1)
  }

  @Test func smoothedWeightsAreReadWithoutTheirSmoothing() throws {
    let matrix = Quantization(rows: 5, columns: 18, seed: 9)
    let factors: [Float] = [0.5, 3]
    func smoothing(_ factors: [Float]) -> SafetensorsWriter.Tensor {
      .init(
        name: "w.smooth", type: .float32, shape: [factors.count],
        bytes: littleEndianBytes(factors))
    }
    for tensors in [matrix.int8Tensors("w"), matrix.int4Tensors("w", group: 32)] {
      let plain = try WeightStore(inMemory: tensors)
        .weight(named: "w", logicalShape: [5, 3, 3, 2])
      #expect(plain.smoothing == nil)
      let store = try WeightStore(inMemory: tensors + [smoothing(factors)])
      let weight = try store.weight(named: "w", logicalShape: [5, 3, 3, 2])
      #expect(weight.smoothing.map(Array.init) == factors)
      let wanted = plain.dequantized().enumerated().map { $1 * factors[$0 % 2] }
      #expect(weight.dequantized() == wanted)
      #expect(store.unusedNames(after: ["w"]).isEmpty)
      for bad in [0, -1, .nan, .infinity, Float.leastNonzeroMagnitude] {
        #expect(throws: WeightError.notPositive(tensor: "w.smooth")) {
          try WeightStore(inMemory: tensors + [smoothing([1, bad])])
            .weight(named: "w", logicalShape: [5, 3, 3, 2])
        }
      }
      #expect(
        throws: WeightError.wrongShape(tensor: "w.smooth", expected: [2], actual: [3])
      ) {
        try WeightStore(inMemory: tensors + [smoothing([1, 1, 1])])
          .weight(named: "w", logicalShape: [5, 3, 3, 2])
      }
    }
    // Nothing reads it beside plain numbers.
    let plain = try WeightStore(inMemory: [
      matrix.plainTensor("w", type: .float16), smoothing(factors),
    ])
    #expect(plain.unusedNames(after: ["w"]) == ["w.smooth"])
  }

  @Test func zeroPointsAreThoseOfIntegersOfEightBits() throws {
    let matrix = Quantization(rows: 5, columns: 18, seed: 9)
    func store(_ tensors: [SafetensorsWriter.Tensor], _ zero: Int8) throws -> WeightStore {
      let tensor = SafetensorsWriter.Tensor(
        name: "w.zero", type: .int8, shape: [1], bytes: [UInt8(bitPattern: zero)])
      return try WeightStore(inMemory: tensors + [tensor])
    }
    for zero in [-126, -80, 0, 126] as [Int8] {
      let store = try store(matrix.int8Tensors("w"), zero)
      _ = try store.weight(named: "w", logicalShape: [5, 18])
      #expect(store.zeroPoint(of: "w") == Int(zero))
      #expect(store.unusedNames(after: ["w"]).isEmpty)
    }
    #expect(try WeightStore(inMemory: matrix.int8Tensors("w")).zeroPoint(of: "w") == 0)
    for zero in [-128, -127, 127] as [Int8] {
      let store = try store(matrix.int8Tensors("w"), zero)
      #expect(throws: WeightError.zeroPointOutOfRange(tensor: "w.zero")) {
        try store.weight(named: "w", logicalShape: [5, 18])
      }
    }
    let int4 = try store(matrix.int4Tensors("w", group: 32), -80)
    #expect(int4.zeroPoint(of: "w") == 0)
    #expect(int4.unusedNames(after: ["w"]) == ["w.zero"])
  }

  @Test func convolutionsAndVectors() throws {
    let matrix = Quantization(rows: 5, columns: 18, seed: 9)
    let store = try WeightStore(
      inMemory: matrix.int8Tensors("conv") + [
        matrix.plainTensor("flat", type: .float32),
        .init(
          name: "bias", type: .float16, shape: [3],
          bytes: littleEndianBytes(
            [Float16](
              [1, 2, 3]))),
      ])
    let shape: Shape = [5, 3, 3, 2]
    #expect(try store.weight(named: "conv", logicalShape: shape).logicalShape == shape)
    #expect(try store.weight(named: "flat", logicalShape: shape).dequantized() == matrix.values)
    #expect(try store.weight(named: "bias", logicalShape: [3]).dequantized() == [1, 2, 3])
    #expect(store.unusedNames(after: ["flat", "conv"]) == ["bias"])
  }

  @Test func unalignedNumbersAreCopied() throws {
    let values: [Float] = [1, -2, 3]
    // "b" begins 1 byte behind an aligned address.
    let store = try WeightStore(inMemory: [
      .init(name: "a", type: .uint8, shape: [1], bytes: [7]),
      .init(name: "b", type: .float32, shape: [3], bytes: littleEndianBytes(values)),
    ])
    let weight = try store.weight(named: "b", logicalShape: [3])
    #expect(Int(bitPattern: weight.data.baseAddress) % 4 == 0)
    #expect(weight.dequantized() == values)
  }

  @Test func weightsOutliveTheirStore() throws {
    let matrix = Quantization(rows: 16, columns: 64, seed: 1)
    func weight() throws -> StoredWeight {
      try WeightStore(inMemory: matrix.int8Tensors("w")).weight(named: "w", logicalShape: [16, 64])
    }
    let kept = try weight()
    #expect(kept.dequantized().count == 1024)
  }

  private func error(
    _ tensors: [SafetensorsWriter.Tensor], _ name: String = "w", _ shape: Shape = [16, 32]
  ) -> WeightError? {
    do throws(WeightError) {
      _ = try WeightStore(inMemory: tensors).weight(named: name, logicalShape: shape)
      return nil
    } catch { return error }
  }

  @Test func wrongWeightsAreRefused() throws {
    let matrix = Quantization(rows: 16, columns: 32, seed: 2)
    let int8 = matrix.int8Tensors("w")
    let int4 = matrix.int4Tensors("w", group: 32)
    #expect(error(int8) == nil)
    #expect(error(int8, "v") == .missing(weight: "v"))
    #expect(error(int8 + int4) == .ambiguous(weight: "w", tensors: ["w.int8", "w.int4g32"]))
    #expect(error([int8[0]]) == .missingScale(weight: "w", tensor: "w.int8"))
    #expect(
      error(int8, "w", [32, 32])
        == .wrongShape(tensor: "w.int8", expected: [2, 8, 16, 4], actual: [1, 8, 16, 4]))
    #expect(error(int8, "w", [512]) == .unfitForm(tensor: "w.int8", logicalShape: [512]))
    #expect(
      error([matrix.plainTensor("w", type: .float32)], "w", [32, 16])
        == .wrongShape(tensor: "w", expected: [32, 16], actual: [16, 32]))
    let odd = Quantization(rows: 2, columns: 48, seed: 3).int4RowTensors("w", group: 16)
    let renamed = SafetensorsWriter.Tensor(
      name: "w.int4g32rows", type: .uint8, shape: odd[0].shape, bytes: odd[0].bytes)
    #expect(
      error([renamed], "w", [2, 48]) == .unfitForm(tensor: "w.int4g32rows", logicalShape: [2, 48]))
    let unsigned = SafetensorsWriter.Tensor(
      name: "w.int8", type: .uint8, shape: int8[0].shape, bytes: int8[0].bytes)
    #expect(error([unsigned, int8[1]]) == .wrongType(tensor: "w.int8", type: .uint8))
  }

  @Test(arguments: [0, 7, 8, 511, 300]) func forbiddenNumbersAreRefused(position: Int) {
    let matrix = Quantization(rows: 16, columns: 32, seed: 2)
    let int8 = matrix.int8Tensors("w")
    var bytes = int8[0].bytes
    bytes[position] = 0x80
    let low = SafetensorsWriter.Tensor(
      name: "w.int8", type: .int8, shape: int8[0].shape, bytes: bytes)
    #expect(error([low, int8[1]]) == .outOfRange(tensor: "w.int8"))

    var scales = int8[1].bytes
    scales.replaceSubrange(
      position % 16 * 4..<position % 16 * 4 + 4, with: littleEndianBytes([Float.nan]))
    let nan = SafetensorsWriter.Tensor(
      name: "w.scale", type: .float32, shape: [16], bytes: scales)
    #expect(error([int8[0], nan]) == .notFinite(tensor: "w.scale"))

    var int4 = matrix.int4Tensors("w", group: 32)[0].bytes
    int4.replaceSubrange(
      position % 16 * 2..<position % 16 * 2 + 2, with: littleEndianBytes([-Float16.infinity]))
    let infinite = SafetensorsWriter.Tensor(
      name: "w.int4g32", type: .uint8, shape: [1, 1, 288], bytes: int4)
    #expect(error([infinite]) == .notFinite(tensor: "w.int4g32"))

    for type in [SafetensorsType.float32, .float16, .bfloat16] {
      var plain = matrix.plainTensor("w", type: type).bytes
      let end = (position + 1) * type.byteCount
      plain[end - 1] = 0x7F
      plain[end - 2] = type == .float16 ? 0 : 0x80
      if type == .float16 { plain[end - 1] = 0x7C }
      let tensor = SafetensorsWriter.Tensor(name: "w", type: type, shape: [16, 32], bytes: plain)
      #expect(error([tensor]) == .notFinite(tensor: "w"))
    }
  }

  @Test func namesInTwoFilesAreRefused() throws {
    let bytes = SafetensorsWriter.bytes([.init(name: "a", type: .uint8, shape: [1], bytes: [1])])
    let file = try SafetensorsFile(file: MappedFile(contents: bytes, path: "x"))
    #expect(throws: WeightError.duplicate(tensor: "a")) { try WeightStore(files: [file, file]) }
  }
}

@Suite struct FinitenessTests {
  /// Every f16 and bf16, among others that are finite, at every place.
  @Test func shortNumbers() {
    for bits in UInt16.min...UInt16.max where bits & 0x7C00 == 0x7C00 || bits % 61 == 0 {
      var numbers = [UInt16](repeating: bits % 7, count: 7)
      numbers[Int(bits / 61) % 7] = bits
      let bytes = littleEndianBytes(numbers)
      bytes.withUnsafeBytes { buffer in
        let half = Finiteness.holds(buffer, format: .float16)
        let brain = Finiteness.holds(buffer, format: .bfloat16)
        if half != Float16(bitPattern: bits).isFinite
          || brain != Float(bitPattern: UInt32(bits) << 16).isFinite
        {
          Issue.record("\(bits)")
        }
      }
    }
  }

  @Test(arguments: [
    Float.infinity, -.infinity, .nan, -.nan, .greatestFiniteMagnitude, -0, .leastNonzeroMagnitude,
  ])
  func floats(value: Float) {
    for position in 0..<5 {
      var numbers: [Float] = [-1, 0, 3e38, -1e-30, 5]
      numbers[position] = value
      littleEndianBytes(numbers).withUnsafeBytes {
        #expect(Finiteness.holds($0, format: .float32) == value.isFinite)
      }
    }
  }
}
