import CPUBackend
import Diffusion
import Serving
import TensorTypes
import Weights

/// Opens model packages and makes the engines that draw with them; all share one pool of threads
/// and compute in turn.
/// - Parameters:
///   - threads: Threads that compute.
///   - stateDirectory: Where it is remembered which files were checked.
func modelOpener(
  threads: Int, activations: ActivationFormat, stateDirectory: String
) -> ModelLibrary.Opener {
  let checks = FileChecks(path: stateDirectory + "/checked-files.json")
  let backend = CPUBackend(threadCount: threads)
  let thread = EngineThread()
  return { model, progress in
    let loaded = try LoadedModel(path: model.path, checks: checks, progress: progress)
    return DiffusionEngine(loaded, backend: backend, activations: activations, thread: thread)
  }
}
