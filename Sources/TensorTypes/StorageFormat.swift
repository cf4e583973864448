/// How the numbers of a stored weight are written. Files decide it; networks never see it.
package enum StorageFormat: Hashable, Sendable {
  case float32
  case float16
  case bfloat16
  /// One f32 scale an output channel, values in `BlockLayout.int8` blocks.
  case int8
  /// Groups of `group` inputs share an f16 scale, records in `BlockLayout.int4` order.
  case int4(group: Int)
  /// An embedding table: one row after another, an f32 scale a row.
  case int8Rows
  /// An embedding table: one row after another in records of `group` inputs with an f16 scale.
  case int4Rows(group: Int)
}

/// What an executable computes with inside linear and convolution ops.
package enum ActivationFormat: String, Hashable, Sendable, CaseIterable {
  /// Weights are dequantized when they are bound; everything is f32. The exact mode.
  case float32
  /// Activations are quantized on the fly to int8: a scale a token for linears, a scale a batch
  /// item for convolutions. Weights that are not stored as integers still compute in f32.
  case int8
}
