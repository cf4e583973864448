import CPUBackend
import Diffusion
import Execution
import Serving
import TensorTypes
import VulkanBackend
import Weights

/// Opens model packages and makes the engines that draw with them; all share one pool of threads
/// and compute in turn.
/// - Parameters:
///   - backend: What computes.
///   - stateDirectory: Where it is remembered which files were checked.
func modelOpener(
  backend: any Backend, activations: ActivationFormat, stateDirectory: String
) -> ModelLibrary.Opener {
  let checks = FileChecks(path: stateDirectory + "/checked-files.json")
  let thread = EngineThread()
  return { model, progress in
    let loaded = try LoadedModel(path: model.path, checks: checks, progress: progress)
    return DiffusionEngine(loaded, backend: backend, activations: activations, thread: thread)
  }
}

/// What all engines compute on.
/// - Parameters:
///   - threads: Threads that compute on the CPU.
///   - stateDirectory: Where it is kept what a GPU's driver has compiled.
/// - Throws: `VulkanUnavailable`.
func makeBackend(
  _ choice: BackendChoice, threads: Int, stateDirectory: String
) throws(VulkanUnavailable) -> any Backend {
  switch choice {
  case .cpu: CPUBackend(threadCount: threads)
  case .vulkan(let index):
    try VulkanBackend(deviceIndex: index, cacheFolder: stateDirectory + "/pipelines")
  }
}
