/// A configuration from a file that no network can be made of.
package struct ConfigurationError: Error, Equatable, CustomStringConvertible {
  package let component: String
  package let reason: String

  package init(_ component: String, _ reason: String) {
    self.component = component
    self.reason = reason
  }

  package var description: String { "the \(component)'s configuration is wrong: \(reason)" }

  /// Throws unless `condition` holds.
  package static func check(
    _ condition: Bool, _ component: String, _ reason: @autoclosure () -> String
  ) throws(ConfigurationError) {
    if !condition { throw ConfigurationError(component, reason()) }
  }
}
