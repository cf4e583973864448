import ArgumentParser
import CPUBackend
import Diffusion
import Execution
import Graph
import Models
import TensorTypes
import Weights

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif
#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Measures our f32 matrix product beside OpenBLAS's at the shapes of a model's linears.
struct MatmulBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "matmul",
    abstract: "Measure the f32 matrix product beside OpenBLAS, at the shapes of a model.")

  /// Models, threads and runs are its options.
  @ParentCommand var bench: BananaBench

  func run() throws {
    let threads = bench.threads ?? ProcessInfo.processInfo.activeProcessorCount
    let backend = CPUBackend(threadCount: threads)
    let blas = try OpenBLAS(threads: threads)
    let model = try LoadedModel(path: bench.package)
    let graphs = [NetworkRole.denoiser, .decoder].map { role in
      let network = model.family.network(role)
      let batch = role == .denoiser ? 2 : 1
      return model.family.graph(
        of: network.name,
        Stage.extents(of: model, batch: batch).restricted(to: network.axes))
    }
    let peak = backend.measurePeak().float32
    print("\(backend.name); OpenBLAS for \(blas.core), on as many threads")
    print("measured peak: f32 \(rounded(peak / 1e9)) GFLOP/s\n")
    print("rows x inputs x outputs    ours GFLOP/s  of peak   OpenBLAS  ours / OpenBLAS")
    var ratios: [Double] = []
    for shape in Self.shapes(of: graphs) {
      let (ours, theirs) = try measure(shape, backend, blas)
      ratios.append(ours / theirs)
      let name = "\(shape.rows) x \(shape.inputs) x \(shape.outputs)"
      let cells = [
        (rounded(ours / 1e9), 12), ("\(Int((100 * ours / peak).rounded())) %", 9),
        (rounded(theirs / 1e9), 11), (rounded(ours / theirs), 17),
      ]
      print(
        cells.reduce(name.padded(to: 26, atStart: false)) {
          $0 + $1.0.padded(to: $1.1, atStart: true)
        })
    }
    let mean = exp(ratios.reduce(0) { $0 + log($1) } / Double(ratios.count))
    print("\ngeometric mean of the ratios: \(rounded(mean))")
  }

  private struct ProductShape: Hashable {
    var rows: Int
    var inputs: Int
    var outputs: Int
    var operations: Double { 2 * Double(rows * inputs * outputs) }
  }

  /// Those of all linears, each once, the largest first.
  private static func shapes(of graphs: [Graph]) -> [ProductShape] {
    var shapes = Set<ProductShape>()
    for node in graphs.flatMap(\.nodes) {
      guard case .linear(let op) = node.op else { continue }
      shapes.insert(
        ProductShape(
          rows: node.result.shape.rows, inputs: op.weight.shape[1], outputs: op.weight.shape[0]))
    }
    return shapes.sorted {
      ($0.operations, $0.rows, $0.inputs) > ($1.operations, $1.rows, $1.inputs)
    }
  }

  /// Operations a second of both, run in turn; medians.
  private func measure(
    _ shape: ProductShape, _ backend: CPUBackend, _ blas: OpenBLAS
  ) throws -> (ours: Double, theirs: Double) {
    let (m, k, n) = (shape.rows, shape.inputs, shape.outputs)
    let x = (0..<m * k).map(Philox(seed: 1).normal(at:))
    let w = (0..<n * k).map(Philox(seed: 2).normal(at:))
    let store = try WeightStore(inMemory: [
      .init(
        name: "w", type: .float32, shape: [n, k], bytes: w.withUnsafeBytes { Array($0) })
    ])
    let g = GraphBuilder("matmul")
    g.output("y", g.linear(g.input("x", [1, m, k]), WeightReference("w", [n, k])))
    let plan = backend.plan(g.build(), for: store, activations: .float32)
    let bound = backend.bind(store, activations: .float32)
    let session = try Session(bound.compile(plan, in: backend.makeArena()))
    session.write(x, to: "x")
    var y = Array(repeating: Float(0), count: m * n)
    var (ours, theirs): ([Double], [Double]) = ([], [])
    for run in -3..<bench.runs {
      var start = ContinuousClock.now
      try session.run()
      let first = (ContinuousClock.now - start) / .seconds(1)
      start = .now
      blas.multiply(x, w, into: &y, inner: k, columns: n)
      let second = (ContinuousClock.now - start) / .seconds(1)
      // What caches and branch predictors learn is not counted.
      if run < 0 { continue }
      ours.append(first)
      theirs.append(second)
    }
    let found = session.read("y")
    let error = zip(found, y).map { abs($0 - $1) }.max() ?? 0
    guard error < 1e-3 * Float(k).squareRoot() else {
      throw ValidationError("the two products differ by \(error)")
    }
    return (
      shape.operations / ours.sorted()[bench.runs / 2],
      shape.operations / theirs.sorted()[bench.runs / 2]
    )
  }
}

extension String {
  fileprivate func padded(to width: Int, atStart: Bool) -> String {
    let padding = String(repeating: " ", count: max(0, width - count))
    return atStart ? padding + self : self + padding
  }
}

/// OpenBLAS, loaded for this alone: neither the other measurements nor the package need it.
private struct OpenBLAS {
  /// `cblas_sgemm`: order, two transpositions, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc.
  private typealias Multiply =
    @convention(c) (
      Int32, Int32, Int32, Int32, Int32, Int32, Float, UnsafePointer<Float>, Int32,
      UnsafePointer<Float>, Int32, Float, UnsafeMutablePointer<Float>, Int32
    ) -> Void

  private let sgemm: Multiply
  /// The processor whose kernels it uses.
  let core: String

  init(threads: Int) throws {
    guard let library = dlopen("libopenblas.so.0", RTLD_NOW),
      let sgemm = dlsym(library, "cblas_sgemm"),
      let setThreads = dlsym(library, "openblas_set_num_threads"),
      let coreName = dlsym(library, "openblas_get_corename")
    else {
      throw ValidationError(
        "OpenBLAS is not there. Install it: apt-get install libopenblas0-pthread")
    }
    self.sgemm = unsafeBitCast(sgemm, to: Multiply.self)
    unsafeBitCast(setThreads, to: (@convention(c) (Int32) -> Void).self)(Int32(threads))
    core = String(
      cString: unsafeBitCast(
        coreName, to: (@convention(c) () -> UnsafePointer<CChar>).self)())
  }

  /// `a b^T` of `[rows, inner]` and `[columns, inner]`.
  func multiply(
    _ a: [Float], _ b: [Float], into c: inout [Float], inner: Int, columns: Int
  ) {
    let (rowMajor, plain, transposed) = (Int32(101), Int32(111), Int32(112))
    sgemm(
      rowMajor, plain, transposed, Int32(a.count / inner), Int32(columns), Int32(inner), 1, a,
      Int32(inner), b, Int32(inner), 0, &c, Int32(columns))
  }
}
