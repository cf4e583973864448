/// The part of an engine that the memory governor acts on.
package protocol GovernedEngine: Sendable {
  /// Bytes held beside mapped weights.
  var residentBytes: Int { get async }
  /// Gives memory back, after a running job.
  func release(_ what: ReleasableMemory) async
}
