import BananaAPI
import HTTPTypes
import Hummingbird
import NIOCore
import Serving

/// `GET /metrics`.
extension DaemonRoutes {
  func metricsText(for peer: Peer) async -> Response {
    let jobs = await scheduler.snapshot(for: nil)
    for priority in JobPriority.allCases {
      metrics.set(
        .waitingJobs, ["priority": priority.rawValue],
        to: Double(jobs.waitingJobs[priority] ?? 0))
    }
    metrics.set(.queueCapacity, to: Double(jobs.capacity))
    metrics.set(.runningJobs, to: Double(jobs.runningJobs))
    metrics.set(.storedResults, to: Double(jobs.storedResults))
    metrics.set(.batchLimit, to: Double(jobs.limits.batch))
    metrics.set(.threadLimit, to: Double(jobs.limits.threads))
    metrics.set(.pace, to: jobs.limits.pace)
    metrics.set(.connections, to: Double(connections.count))
    metrics.set(.uptimeSeconds, to: (ContinuousClock.now - started).seconds)
    if let bytes = ProcessFacts.residentBytes { metrics.set(.residentBytes, to: Double(bytes)) }
    if let bytes = memory.availableBytes { metrics.set(.availableBytes, to: Double(bytes)) }
    metrics.set(.memoryPressure, to: Double(memory.pressureEvents))
    metrics.set(.sharedPeels, to: Double(peels.sharedCount))
    let thermal = heat.status
    metrics.set(.thermalBudget, to: thermal.budget)
    if let zone = thermal.zone {
      metrics.set(.temperature, ["zone": zone.type], to: zone.celsius)
    }
    let open = models.reports.count { $0.state == .open }
    metrics.set(.openModels, to: Double(open))
    metrics.set(.isReady, to: open > 0 && !jobs.isDraining ? 1 : 0)
    return Response(
      status: .ok, headers: [.contentType: "text/plain; version=0.0.4; charset=utf-8"],
      body: .init(
        byteBuffer: ByteBuffer(
          string: metrics.exposition {
            peer.seesExactFigures || Metric.forApps.contains($0)
          })))
  }
}
