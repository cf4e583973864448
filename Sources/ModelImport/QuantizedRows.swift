import Glibc
import TensorTypes

/// What rounding to integers has lost, over a whole weight.
struct QuantizationError: Equatable {
  /// Sums of squares.
  var signal = 0.0
  var noise = 0.0

  /// Signal over noise in decibels; nil where nothing was lost.
  var decibels: Double? { noise > 0 && signal > 0 ? 10 * log10(signal / noise) : nil }

  mutating func add(signal: Float, noise: Float) {
    self.signal += Double(signal)
    self.noise += Double(noise)
  }
}

/// Makes blocks of 16 rows of a matrix into the layouts of `BlockLayout`.
struct QuantizedRows {
  let columns: Int
  private(set) var error = QuantizationError()
  /// Of int8, a row each.
  private(set) var scales: [Float] = []

  init(columns: Int) { self.columns = columns }

  /// Adding it and subtracting it again rounds to the nearest integer, half to even, below 2^22.
  private static let rounding: Float = 0x1.8p23

  /// The block of up to 16 `rows` `[row, column]`: `[quad][16][4]`.
  mutating func int8(_ rows: UnsafeBufferPointer<Float>) -> [UInt8] {
    let (outputs, inputs) = (BlockLayout.outputs, BlockLayout.inputs)
    let quads = BlockLayout.quads(of: columns)
    var block = [UInt8](repeating: 0, count: quads * outputs * inputs)
    for row in 0..<rows.count / max(columns, 1) {
      let numbers = UnsafeBufferPointer(rebasing: rows[row * columns..<(row + 1) * columns])
      var largest: Float = 0
      for number in numbers { largest = max(largest, abs(number)) }
      let scale = largest > 0 ? largest / 127 : 1
      var (signal, noise): (Float, Float) = (0, 0)
      block.withUnsafeMutableBufferPointer { block in
        for column in 0..<columns {
          let number = numbers[column]
          let rounded = number / scale + Self.rounding - Self.rounding
          let difference = rounded * scale - number
          signal += number * number
          noise += difference * difference
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
    withUnsafeTemporaryAllocation(of: Float.self, capacity: group) { numbers in
      for row in 0..<rows.count / max(columns, 1) {
        for index in 0..<groups {
          for lane in 0..<group {
            let column = index * group + lane
            numbers[lane] = column < columns ? rows[row * columns + column] : 0
          }
          let (scale, signal, noise) = Self.best(UnsafeBufferPointer(numbers))
          error.add(signal: signal, noise: noise)
          let base = index * record
          block[base + 2 * row] = UInt8(truncatingIfNeeded: scale.bitPattern)
          block[base + 2 * row + 1] = UInt8(truncatingIfNeeded: scale.bitPattern >> 8)
          let inverse = 1 / Float(scale)
          for pair in 0..<group / 2 {
            let low = UInt8(Self.int4(numbers[2 * pair] * inverse) + 8)
            let high = UInt8(Self.int4(numbers[2 * pair + 1] * inverse) + 8)
            let place = (pair / 2 * outputs + row) * 2 + pair % 2
            block[base + 2 * outputs + place] = low | high << 4
          }
        }
      }
    }
    return block
  }

  private static let tries = 16

  /// The scale of a group that errs least, and what is there and what is lost.
  private static func best(
    _ numbers: UnsafeBufferPointer<Float>
  ) -> (scale: Float16, signal: Float, noise: Float) {
    var (extreme, signal): (Float, Float) = (0, 0)
    for number in numbers {
      if abs(number) > abs(extreme) { extreme = number }
      signal += number * number
    }
    var best: (scale: Float16, noise: Float) = (1, .infinity)
    for attempt in 0..<tries {
      var scale = Float16(extreme / -8 * (1 - 0.03 * Float(attempt)))
      if scale == 0 { scale = 1 }
      let noise = noise(numbers, scale: Float(scale))
      if noise < best.noise { best = (scale, noise) }
    }
    return (best.scale, signal, best.noise)
  }

  /// The sum of squared errors, in four parts that a processor adds side by side.
  private static func noise(_ numbers: UnsafeBufferPointer<Float>, scale: Float) -> Float {
    let inverse = 1 / scale
    var parts = SIMD4<Float>(repeating: 0)
    var lane = 0
    while lane < numbers.count {
      for part in 0..<4 {
        let number = numbers[lane + part]
        let difference = int4(number * inverse) * scale - number
        parts[part] += difference * difference
      }
      lane += 4
    }
    return parts.sum()
  }

  @inline(__always) private static func int4(_ number: Float) -> Float {
    max(-8, min(7, number + rounding - rounding))
  }
}
