import Glibc
import TensorTypes

/// What rounding to integers is expected to lose of what a whole weight makes of its inputs.
struct QuantizationError: Equatable {
  /// Sums of squares.
  var signal = 0.0
  var noise = 0.0

  /// Signal over noise in decibels; nil where nothing was lost.
  var decibels: Double? {
    let ratio = signal / noise
    return ratio > 0 && ratio.isFinite ? 10 * log10(ratio) : nil
  }

  mutating func add(signal: Float, noise: Float) {
    self.signal += Double(signal)
    self.noise += Double(noise)
  }
}

/// Makes blocks of 16 rows of a matrix into the layouts of `BlockLayout`, divided by the smoothing
/// of its inputs.
struct QuantizedRows {
  let columns: Int
  /// By column: what a number is multiplied by, and the expected square of its input.
  private let factors: [Float]
  private let squares: [Float]
  /// The expected square of what rounding changes in an input.
  private let inputNoise: Float
  private(set) var error = QuantizationError()
  /// Of int8, a row each.
  private(set) var scales: [Float] = []

  /// - Parameter inputs: Nil is inputs of equal sizes that are not rounded.
  init(columns: Int, _ inputs: InputRounding? = nil) {
    self.columns = columns
    func byColumn(_ channels: [Float]?) -> [Float] {
      guard let channels else { return Array(repeating: 1, count: columns) }
      return (0..<columns).map { channels[$0 % channels.count] }
    }
    factors = byColumn(inputs?.smoothing?.map { 1 / $0 })
    squares = byColumn(inputs?.squares)
    inputNoise = Float(inputs?.noise ?? 0)
  }

  /// The numbers of a row, as they are rounded.
  private func smoothed(_ row: UnsafeBufferPointer<Float>) -> [Float] {
    [Float](unsafeUninitializedCapacity: columns) { numbers, count in
      for column in 0..<columns { numbers[column] = row[column] * factors[column] }
      count = columns
    }
  }

  /// Adding it and subtracting it again rounds to the nearest integer, half to even, below 2^22.
  private static let rounding: Float = 0x1.8p23

  /// The block of up to 16 `rows` `[row, column]`: `[quad][16][4]`.
  mutating func int8(_ rows: UnsafeBufferPointer<Float>) -> [UInt8] {
    let (outputs, inputs) = (BlockLayout.outputs, BlockLayout.inputs)
    let quads = BlockLayout.quads(of: columns)
    var block = [UInt8](repeating: 0, count: quads * outputs * inputs)
    for row in 0..<rows.count / max(columns, 1) {
      let numbers = smoothed(.init(rebasing: rows[row * columns..<(row + 1) * columns]))
      var largest: Float = 0
      for number in numbers { largest = max(largest, abs(number)) }
      let scale = largest > 0 ? largest / 127 : 1
      var (signal, noise): (Float, Float) = (0, 0)
      block.withUnsafeMutableBufferPointer { block in
        for column in 0..<columns {
          let number = numbers[column]
          let rounded = number / scale + Self.rounding - Self.rounding
          let difference = rounded * scale - number
          signal += number * number * squares[column]
          noise += difference * difference * squares[column] + number * number * inputNoise
          let place = (column / inputs * outputs + row) * inputs + column % inputs
          block[place] = UInt8(bitPattern: Int8(max(-127, min(127, rounded))))
        }
      }
      error.add(signal: signal, noise: noise)
      scales.append(scale)
    }
    return block
  }

  /// The records of up to 16 `rows`: for each 32 inputs 16 f16 scales and `[8][16][2]` bytes, two
  /// inputs in each.
  ///
  /// A scale takes the largest number to -8 or to a little less, whichever errs least.
  mutating func int4(_ rows: UnsafeBufferPointer<Float>) -> [UInt8] {
    let (outputs, group) = (BlockLayout.outputs, 32)
    let groups = (columns + group - 1) / group
    let record = BlockLayout.int4RecordByteCount(group: group)
    // 0x88 is two zeros; rows that there are not have a scale of 0.
    var block = [UInt8](repeating: 0x88, count: groups * record)
    for index in 0..<groups {
      for byte in 0..<2 * outputs { block[index * record + byte] = 0 }
    }
    // Behind the last input are zeros.
    let padding = [Float](repeating: 0, count: groups * group - columns)
    (squares + padding).withUnsafeBufferPointer { squares in
      for row in 0..<rows.count / max(columns, 1) {
        let present = smoothed(.init(rebasing: rows[row * columns..<(row + 1) * columns]))
        (present + padding).withUnsafeBufferPointer { numbers in
          for index in 0..<groups {
            let part = index * group..<(index + 1) * group
            writeRecord(
              .init(rebasing: numbers[part]), .init(rebasing: squares[part]), row: row,
              at: index * record, in: &block)
          }
        }
      }
    }
    return block
  }

  /// Writes the scale and the integers of a row's group, of which the inputs have these squares.
  private mutating func writeRecord(
    _ numbers: UnsafeBufferPointer<Float>, _ squares: UnsafeBufferPointer<Float>, row: Int,
    at base: Int, in block: inout [UInt8]
  ) {
    let outputs = BlockLayout.outputs
    let (scale, noise) = Self.best(numbers, squares)
    var (signal, inputNoise): (Float, Float) = (0, 0)
    for lane in numbers.indices {
      signal += numbers[lane] * numbers[lane] * squares[lane]
      inputNoise += numbers[lane] * numbers[lane] * self.inputNoise
    }
    error.add(signal: signal, noise: noise + inputNoise)
    block[base + 2 * row] = UInt8(truncatingIfNeeded: scale.bitPattern)
    block[base + 2 * row + 1] = UInt8(truncatingIfNeeded: scale.bitPattern >> 8)
    let inverse = 1 / Float(scale)
    for pair in 0..<numbers.count / 2 {
      let low = UInt8(Self.int4(numbers[2 * pair] * inverse) + 8)
      let high = UInt8(Self.int4(numbers[2 * pair + 1] * inverse) + 8)
      let place = (pair / 2 * outputs + row) * 2 + pair % 2
      block[base + 2 * outputs + place] = low | high << 4
    }
  }

  private static let tries = 16

  /// The scale of a group that is expected to err least in what comes of it, and how much.
  private static func best(
    _ numbers: UnsafeBufferPointer<Float>, _ squares: UnsafeBufferPointer<Float>
  ) -> (scale: Float16, noise: Float) {
    var extreme: Float = 0
    for number in numbers where abs(number) > abs(extreme) { extreme = number }
    var best: (scale: Float16, noise: Float) = (1, .infinity)
    for attempt in 0..<tries {
      var scale = Float16(extreme / -8 * (1 - 0.03 * Float(attempt)))
      if scale == 0 { scale = 1 }
      let noise = noise(numbers, squares, scale: Float(scale))
      if noise < best.noise { best = (scale, noise) }
    }
    return best
  }

  /// The sum of squared errors, in four parts that a processor adds side by side.
  private static func noise(
    _ numbers: UnsafeBufferPointer<Float>, _ squares: UnsafeBufferPointer<Float>, scale: Float
  ) -> Float {
    let inverse = 1 / scale
    var parts = SIMD4<Float>(repeating: 0)
    var lane = 0
    while lane < numbers.count {
      for part in 0..<4 {
        let number = numbers[lane + part]
        let difference = int4(number * inverse) * scale - number
        parts[part] += difference * difference * squares[lane + part]
      }
      lane += 4
    }
    return parts.sum()
  }

  @inline(__always) private static func int4(_ number: Float) -> Float {
    max(-8, min(7, number + rounding - rounding))
  }
}
