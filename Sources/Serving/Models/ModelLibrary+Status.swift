package import BananaAPI

extension ModelLibrary.Report {
  /// In AICore's words.
  package var status: ModelStatus { state == .failed ? .unavailable : .available }

  package var reason: String? { failure.map { "\($0)" } }
}

extension ModelLibrary {
  /// What is told of the model of requests that name none.
  package var defaultStatus: DaemonStatus.Model {
    if let report = defaultReport {
      return .init(id: report.model.name, status: report.status, reason: report.reason)
    }
    let reason = isListed ? defaultFault.map { "\($0)" } : "The models are being looked for."
    return .init(id: nil, status: .unavailable, reason: reason)
  }

  /// For `systemctl status`.
  package var statusLine: String {
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
