extension StringProtocol {
  /// The beginning of a text of somebody else's, for a message or the log.
  /// - Parameter count: Unicode scalars; a character may have millions of them.
  package func cut(_ count: Int) -> String {
    String(String.UnicodeScalarView(unicodeScalars.prefix(count)))
  }
}
