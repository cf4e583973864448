package import BananaAPI

/// Why a request is not let in, before its body is read.
package struct RequestRefusal: Error, Sendable {
  package var error: APIError
  /// The methods of the path, when it is the method that is wrong.
  package var allow: [String]
  /// How long to wait before it is told.
  package var lateness: Duration

  package init(error: APIError, allow: [String] = [], lateness: Duration = .zero) {
    self.error = error
    self.allow = allow
    self.lateness = lateness
  }
}
