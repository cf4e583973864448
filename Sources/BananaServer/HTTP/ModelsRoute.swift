package import BananaAPI
import FoundationEssentials
import Hummingbird
import Models
package import Serving

/// `GET /v1/models` and `/v1/models/{id}`; they wait for a look at the folders, and for no opening.
extension DaemonRoutes {
  func addModels(to router: Router<DaemonRequestContext>) {
    router.get(RouterPath(Route.models)) { _, _ in
      try await Response.json(ModelList(data: listedModels))
    }
    router.get(RouterPath(Route.models + "/:id")) { _, context in
      try await model(named: context.parameters.get("id") ?? "")
    }
  }

  /// All that are installed, each followed by its aliases.
  private var listedModels: [ModelInfo] {
    get async {
      await models.look()
      let aliases = await scheduler.configuration.modelAliases
      return models.reports.flatMap { report in
        let info = ModelInfo(report)
        return [info]
          + aliases.names(for: info.id).map { alias in
            var other = info
            (other.id, other.aliasOf) = (alias, info.id)
            return other
          }
      }
    }
  }

  /// - Parameter segment: The name as it is in the path, percent-encoded.
  private func model(named segment: String) async throws -> Response {
    let id = URLComponents(string: "/" + segment).map { String($0.path.dropFirst()) } ?? segment
    let known = await listedModels
    if let info = known.first(where: { $0.id == id }) { return try .json(info) }
    throw await scheduler.configuration.modelAliases.notInstalled(
      id, installed: known.filter { $0.aliasOf == nil }.map(\.id))
  }
}

extension ModelInfo {
  package init(_ report: ModelLibrary.Report) {
    let (model, known) = (report.model, report.description)
    self.init(
      id: model.name, created: model.created, status: report.status, family: model.family,
      version: model.version, description: model.description,
      licenses: model.licenses.map {
        License(what: $0.what, license: $0.license, source: $0.source)
      },
      styles: known?.styles ?? [], defaultStyle: known?.defaultStyle,
      sizes: [], nativeSize: (known?.nativeSize.size).map { "\($0)" },
      defaultSteps: known?.defaultSteps,
      defaultGuidance: (known?.defaultGuidance).map { Double($0) },
      parameterCount: known?.parameterCount, weightBytes: model.weightBytes,
      peakBytes: known?.peakBytes)
    defaultSampler = known.map { ImageGenerationRequest.Sampler($0.defaultSampler).rawValue }
    samplers = known?.samplers.map { ImageGenerationRequest.Sampler($0).rawValue }
    defaultSpacing = known?.defaultSpacing?.rawValue
    spacings = known?.spacings.map(\.rawValue)
    maximumClipSkip = known?.maximumClipSkip
    let sizes = known?.sizes.map(\.size) ?? []
    if let grid = SizeGrid(sizes) {
      sizeRule = SizeRule(
        multipleOf: grid.multiple, minimum: grid.sides.lowerBound,
        maximum: grid.sides.upperBound)
      self.sizes = nativeSize.map { [$0] } ?? []
    } else {
      self.sizes = sizes.map(\.description)
    }
    state = report.state
    progress = report.progress
    reason = report.reason
    isDefault = report.isDefault
  }
}

extension DaemonStatus.InstalledModel {
  init(_ report: ModelLibrary.Report) {
    self.init(
      id: report.model.name, status: report.status, state: report.state,
      progress: report.progress, reason: report.reason, isDefault: report.isDefault,
      weightBytes: report.model.weightBytes)
  }
}
