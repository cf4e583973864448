package import BananaAPI
import FoundationEssentials
import Hummingbird
import Models

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

extension ModelLibrary.Report {
  /// In AICore's words.
  var status: ModelStatus { state == .failed ? .unavailable : .available }

  var reason: String? { failure.map { "\($0)" } }
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

extension ModelLibrary {
  /// What is told of the model of requests that name none.
  var defaultStatus: DaemonStatus.Model {
    if let report = defaultReport {
      return .init(id: report.model.name, status: report.status, reason: report.reason)
    }
    let reason = isListed ? defaultFault.map { "\($0)" } : "The models are being looked for."
    return .init(id: nil, status: .unavailable, reason: reason)
  }

  /// For `systemctl status`.
  var statusLine: String {
    guard let report = defaultReport else { return "No model: \(defaultStatus.reason ?? "none")" }
    let others = reports.filter { $0.state == .open && !$0.isDefault }.map(\.model.name)
    let also = others.isEmpty ? "" : " (open too: \(others.joined(separator: ", ")))"
    switch report.state {
    case .opening: return "Opening \(report.model.name)\(also)."
    case .failed: return "No model: \(report.reason ?? "")\(also)"
    case .open, .closed: return report.model.name + also
    }
  }
}

extension APIError {
  /// The one place that turns what the library throws into the API's errors.
  package init(_ error: ModelLibraryError, aliases: ModelAliases = .init()) {
    switch error {
    case .noModels, .unusable: self.init(.modelUnavailable, "\(error)")
    case .noDefault: self.init(.modelNotFound, "\(error)", param: "model")
    case .notInstalled(let name, let installed):
      self = aliases.notInstalled(name, installed: installed)
    case .noRoom: self.init(.insufficientMemory, "\(error)", param: "model")
    case .cancelled: self.init(.cancelled, "The job was cancelled.")
    case .stopping: self.init(.shuttingDown, "\(error)")
    }
  }
}
