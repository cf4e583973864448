/// The paths that the daemon serves.
public enum Route {
  /// Draws pictures of a prompt.
  public static let imageGenerations = "/v1/images/generations"
  /// Changes a picture.
  public static let imageEdits = "/v1/images/edits"
  /// The models that draw.
  public static let models = "/v1/models"
  /// The caller's jobs.
  public static let jobs = "/v1/jobs"
  /// What the daemon is doing.
  public static let status = "/v1/status"
  /// 200 while the process lives.
  public static let health = "/healthz"
  /// 200 when a picture can be drawn, otherwise 503 with the reason.
  public static let ready = "/readyz"
  /// Figures in Prometheus' text format.
  public static let metrics = "/metrics"

  /// `/v1/jobs/{id}`.
  public static func job(_ id: String) -> String { "\(jobs)/\(id)" }

  /// `/v1/jobs/{id}/result`: the answer that a stored job ended with.
  public static func jobResult(_ id: String) -> String { "\(job(id))/result" }

  /// A path with its methods; a segment in braces stands for any.
  package struct Served: Sendable {
    package var path: String
    package var methods: [String]

    package init(_ path: String, _ methods: String...) {
      self.path = path
      self.methods = methods
    }

    /// Empty segments count for nothing, as for the router: `/v1/models/` is `/v1/models`.
    package func matches(_ other: String) -> Bool {
      let mine = path.split(separator: "/")
      let theirs = other.split(separator: "/")
      return mine.count == theirs.count
        && zip(mine, theirs).allSatisfy { $0 == $1 || $0.hasPrefix("{") }
    }
  }

  /// Everything that is served.
  package static let served: [Served] = [
    Served(imageGenerations, "POST"), Served(imageEdits, "POST"), Served(models, "GET"),
    Served(models + "/{id}", "GET"), Served(peels, "GET", "POST"),
    Served(peel("{name}"), "GET", "DELETE"), Served(jobs, "GET"),
    Served(job("{id}"), "GET", "DELETE"),
    Served(jobResult("{id}"), "GET"), Served(status, "GET"), Served(health, "GET"),
    Served(ready, "GET"), Served(metrics, "GET"),
  ]
}
