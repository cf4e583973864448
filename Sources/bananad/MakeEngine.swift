import BananaServer
import CPUBackend
import Diffusion
import TensorTypes

/// Opens the model package in `modelsDirectory` and makes the engine that draws with it.
/// - Parameter threads: Threads that compute.
/// - Throws: `ModelLoadingError` or `ExecutionError`, which say what is wrong and what to do.
func makeEngine(modelsDirectory: String, threads: Int) async throws -> any PictureEngine {
  let model = try LoadedModel(modelsDirectory: modelsDirectory)
  return try DiffusionEngine(
    model, backend: CPUBackend(threadCount: threads), activations: .int8)
}
