/// What drawing with the default model takes of memory.
struct MemoryNeed: Equatable {
  var model: String
  var weightBytes: Int
  /// Beside the weights; nil before the model was open for the first time.
  var peakBytes: Int?
  /// What the daemon has in memory by now.
  var heldBytes: Int

  /// What has still to be found.
  var missingBytes: Int { max(weightBytes + (peakBytes ?? 0) - heldBytes, 0) }

  /// One clause.
  var text: String {
    let drawing = peakBytes.map { "\($0 >> 20) MiB to draw" } ?? "what drawing takes"
    let missing =
      missingBytes == 0
      ? "and bananad has that already" : "of which \(missingBytes >> 20) are to come"
    return "\(model) takes \(weightBytes >> 20) MiB of weights and \(drawing), \(missing)"
  }
}
