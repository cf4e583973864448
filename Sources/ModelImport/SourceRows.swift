import CKernels
import Graph
import TensorTypes
import Weights

/// Reads the rows of a file's tensor in f32 and in the order that the network has them.
struct SourceRows {
  let weight: MatchedWeight
  let rows: Int
  let columns: Int
  private let rowBytes: Int
  private let storage: banana_storage

  /// Vectors are one row.
  init(_ weight: MatchedWeight) {
    self.weight = weight
    let shape = weight.reference.shape
    rows = shape.rank < 2 ? 1 : shape[0]
    columns = rows == 0 ? 0 : shape.count / rows
    rowBytes = columns * weight.source.type.byteCount
    storage =
      switch weight.source.type {
      case .float16: BANANA_STORAGE_F16
      case .bfloat16: BANANA_STORAGE_BF16
      default: BANANA_STORAGE_F32
      }
  }

  /// Rows in a piece of about a mebibyte of f32, a multiple of 16.
  var piece: Int { max((1 << 18) / max(columns, 1) / 16, 1) * 16 }

  /// The rows of `range`, `[row, column]`; the pages that they were in are let go.
  /// - Throws: `ImportError.notFinite`.
  func read(_ range: Range<Int>) throws(ImportError) -> [Float] {
    let source = weight.source
    let part = UnsafeRawBufferPointer(
      rebasing: source.bytes[range.lowerBound * rowBytes..<range.upperBound * rowBytes])
    let count = range.count * columns
    var numbers = [Float](unsafeUninitializedCapacity: count) { numbers, initialized in
      if count > 0 { widen(part, into: numbers) }
      initialized = count
    }
    // A sum of what is not finite is not finite, and finite ones are weighed down.
    var sum: Float = 0
    for number in numbers { sum += number * 0 }
    if sum != 0 { throw .notFinite(path: source.path, tensor: source.name) }
    if weight.layout == .channelsInnermost { numbers = transposed(numbers, rows: range.count) }
    source.file.file.release(part)
    return numbers
  }

  private func widen(
    _ part: UnsafeRawBufferPointer, into numbers: UnsafeMutableBufferPointer<Float>
  ) {
    // Files may begin their data anywhere.
    if Int(bitPattern: part.baseAddress) % 4 == 0 {
      banana_widen(part.baseAddress!, storage, numbers.count, numbers.baseAddress!)
      return
    }
    let copy = HostBuffer(byteCount: part.count)
    copy.bytes.copyMemory(from: part)
    banana_widen(copy.bytes.baseAddress!, storage, numbers.count, numbers.baseAddress!)
  }

  /// Rows `[in, y, x]` as `[y, x, in]`.
  private func transposed(_ numbers: [Float], rows: Int) -> [Float] {
    let channels = weight.reference.shape.last
    let places = columns / max(channels, 1)
    return [Float](unsafeUninitializedCapacity: numbers.count) { result, initialized in
      for row in 0..<rows {
        let base = row * columns
        for channel in 0..<channels {
          for place in 0..<places {
            result[base + place * channels + channel] = numbers[base + channel * places + place]
          }
        }
      }
      initialized = numbers.count
    }
  }
}
