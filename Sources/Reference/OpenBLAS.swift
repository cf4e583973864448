import COpenBLAS

/// Matrix products in f64 by OpenBLAS, on one thread: sums are the same in every run on a machine.
enum OpenBLAS {
  private static let isReady: Void = openblas_set_num_threads(1)

  /// `a b^T` of a matrix `[rows, inner]` and one `[columns, inner]`, `[rows, columns]`.
  static func product(_ a: [Double], _ b: [Double], inner: Int) -> [Double] {
    let (rows, columns) = (a.count / inner, b.count / inner)
    return matrix(rows, columns) {
      cblas_dgemm(
        CblasRowMajor, CblasNoTrans, CblasTrans, blasint(rows), blasint(columns), blasint(inner),
        1, a, blasint(inner), b, blasint(inner), 0, $0, blasint(columns))
    }
  }

  /// `a b` of a matrix `[rows, inner]` and one `[inner, columns]`, `[rows, columns]`.
  static func product(_ a: [Double], _ b: [Double], columns: Int) -> [Double] {
    let inner = b.count / columns
    let rows = a.count / inner
    return matrix(rows, columns) {
      cblas_dgemm(
        CblasRowMajor, CblasNoTrans, CblasNoTrans, blasint(rows), blasint(columns),
        blasint(inner), 1, a, blasint(inner), b, blasint(columns), 0, $0, blasint(columns))
    }
  }

  private static func matrix(
    _ rows: Int, _ columns: Int, _ fill: (UnsafeMutablePointer<Double>?) -> Void
  ) -> [Double] {
    _ = isReady
    return Array(unsafeUninitializedCapacity: rows * columns) { buffer, count in
      fill(buffer.baseAddress)
      count = rows * columns
    }
  }
}
