/// The paths that the daemon serves.
public enum Route {
  public static let imageGenerations = "/v1/images/generations"
  public static let models = "/v1/models"
  public static let status = "/v1/status"
  /// 200 while the process lives.
  public static let health = "/healthz"
  /// 200 when a picture can be drawn, otherwise 503 with the reason.
  public static let ready = "/readyz"
}
