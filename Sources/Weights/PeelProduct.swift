import TensorTypes

/// The change of a weight `[out, columns]` as a product `up down` of few inner places, in each form
/// that people's files have. Columns of a convolution are its inputs, the places of the kernel
/// innermost. Numbers stay in the file until they are asked for.
indirect enum PeelProduct: Sendable {
  /// `up` `[out, rank]`, `down` `[rank, columns]`.
  case pair(up: PeelTensor, down: PeelTensor)
  /// `up` `[out, rank]`, or the other way round, `core` `[rank, inner, y, x]`, `down`
  /// `[inner, in]`. Tucker 1966, "Some Mathematical Notes on Three-Mode Factor Analysis".
  case tucker(up: PeelTensor, isTurned: Bool, core: PeelTensor, down: PeelTensor)
  /// A matrix as it is.
  case full(PeelTensor)
  /// Element by element. Hyeon-Woo et al. 2022, "FedPara: Low-Rank Hadamard Product for
  /// Communication-Efficient Federated Learning".
  case hadamard(PeelProduct, PeelProduct)
  /// Each number of the first times the second. Yeh et al. 2024, "Navigating Text-To-Image
  /// Customization: From LyCORIS Fine-Tuning to Model Evaluation", section 3.2.
  case kronecker(PeelProduct, PeelProduct)

  var rank: Int {
    switch self {
    case .pair(_, let down): down.rows
    case .tucker(_, _, let core, _): core.rows
    case .full(let matrix): min(matrix.rows, matrix.columns)
    case .hadamard(let first, let second), .kronecker(let first, let second):
      first.rank * second.rank
    }
  }

  var outputs: Int {
    switch self {
    case .pair(let up, _): up.rows
    case .tucker(let up, let isTurned, _, _): isTurned ? up.columns : up.rows
    case .full(let matrix): matrix.rows
    case .hadamard(let first, _): first.outputs
    case .kronecker(let first, let second): first.outputs * second.outputs
    }
  }

  var columns: Int {
    switch self {
    case .pair(_, let down): down.columns
    case .tucker(_, _, let core, let down): down.columns * core.shape[2] * core.shape[3]
    case .full(let matrix): matrix.columns
    case .hadamard(let first, _): first.columns
    case .kronecker(let first, let second): first.columns * second.columns
    }
  }

  /// `[y, x]` of a convolution's kernel that is more than a point; nil also where the file does not
  /// say.
  var kernel: Shape? {
    switch self {
    case .pair(_, let down): down.kernel
    case .tucker(_, _, let core, _): core.kernel
    case .full(let matrix): matrix.kernel
    case .hadamard(let first, let second): first.kernel ?? second.kernel
    case .kronecker(_, let second): second.kernel
    }
  }

  /// No number of `up` and of `down` is larger.
  var magnitudes: (up: Float, down: Float) {
    switch self {
    case .pair(let up, let down): return (up.magnitude, down.magnitude)
    case .tucker(let up, _, let core, let down):
      return (up.magnitude, Float(down.rows) * core.magnitude * down.magnitude)
    case .full(let matrix):
      return isWide(matrix) ? (1, matrix.magnitude) : (matrix.magnitude, 1)
    case .hadamard(let first, let second), .kronecker(let first, let second):
      let (a, b) = (first.magnitudes, second.magnitudes)
      return (a.up * b.up, a.down * b.down)
    }
  }

  /// `[out, rank]`, row by row.
  var up: [Float] {
    switch self {
    case .pair(let up, _): up.numbers
    case .tucker(let up, let isTurned, _, _):
      isTurned ? turned(up.numbers, width: up.columns) : up.numbers
    case .full(let matrix): isWide(matrix) ? identity(matrix.rows) : matrix.numbers
    case .hadamard(let first, let second):
      rowsTimesRows(first.up, first.rank, second.up, second.rank)
    case .kronecker(let first, let second):
      product(first.up, first.rank, second.up, second.rank)
    }
  }

  /// `[rank, columns]`, row by row.
  var down: [Float] {
    switch self {
    case .pair(_, let down): down.numbers
    case .tucker(_, _, let core, let down): composed(core, down)
    case .full(let matrix): isWide(matrix) ? matrix.numbers : identity(matrix.columns)
    case .hadamard(let first, let second):
      turned(
        rowsTimesRows(
          turned(first.down, width: columns), first.rank, turned(second.down, width: columns),
          second.rank), width: rank)
    case .kronecker(let first, let second):
      product(first.down, first.columns, second.down, second.columns)
    }
  }
}

private func isWide(_ matrix: PeelTensor) -> Bool { matrix.rows <= matrix.columns }

private func identity(_ size: Int) -> [Float] {
  var matrix = Array(repeating: Float(0), count: size * size)
  for index in 0..<size { matrix[index * size + index] = 1 }
  return matrix
}

private func turned(_ matrix: [Float], width: Int) -> [Float] {
  let height = matrix.count / width
  var result = Array(repeating: Float(0), count: matrix.count)
  for row in 0..<height {
    for column in 0..<width { result[column * height + row] = matrix[row * width + column] }
  }
  return result
}

/// Each row of `a` `[row, p]` and the same of `b` `[row, q]`, number by number: `[row, p * q]`
/// (Khatri and Rao 1968).
private func rowsTimesRows(_ a: [Float], _ p: Int, _ b: [Float], _ q: Int) -> [Float] {
  var result: [Float] = []
  result.reserveCapacity(a.count * q)
  for row in 0..<a.count / p {
    for i in 0..<p {
      for j in 0..<q { result.append(a[row * p + i] * b[row * q + j]) }
    }
  }
  return result
}

/// Kronecker's product of `a` `[·, p]` and `b` `[·, q]`.
private func product(_ a: [Float], _ p: Int, _ b: [Float], _ q: Int) -> [Float] {
  var result: [Float] = []
  result.reserveCapacity(a.count * b.count)
  for row in 0..<a.count / p {
    for other in 0..<b.count / q {
      for i in 0..<p {
        for j in 0..<q { result.append(a[row * p + i] * b[other * q + j]) }
      }
    }
  }
  return result
}

/// `core` `[rank, inner, y, x]` behind `down` `[inner, in]`: `[rank, in, y, x]`.
private func composed(_ core: PeelTensor, _ down: PeelTensor) -> [Float] {
  let (inner, inputs) = (down.rows, down.columns)
  let places = core.shape[2] * core.shape[3]
  let (a, b) = (core.numbers, down.numbers)
  var result = Array(repeating: Float(0), count: core.rows * inputs * places)
  result.withUnsafeMutableBufferPointer { result in
    for row in 0..<core.rows {
      for middle in 0..<inner {
        let from = (row * inner + middle) * places
        for input in 0..<inputs {
          let factor = b[middle * inputs + input]
          let to = (row * inputs + input) * places
          for place in 0..<places { result[to + place] += a[from + place] * factor }
        }
      }
    }
  }
  return result
}
