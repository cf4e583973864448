import CShaders

/// A shader as it is embedded: an op's, or a variant of it.
enum ShaderCode: String, CaseIterable {
  case activation, attention, binary, concatenation, convolution, depthToSpace, embedding, fold
  case gatedActivation, groupNorm, headNorm, linear, matmul, meanPool, norm, parameter, patchSum
  case quantize, scale, sinusoidal, slice, spaceToDepth
  /// Products of signed bytes, and those with the device's own dot product.
  case convolutionInt8 = "convolution_int8"
  case convolutionInt8Dot = "convolution_int8_dot"
  case linearInt8 = "linear_int8"
  case linearInt8Dot = "linear_int8_dot"

  /// Buffers that a shader has at most.
  static let mostBuffers = 8
  /// What all devices take.
  static let mostArgumentBytes = 128
  /// Invocations of a workgroup.
  static let groupSize = 64

  /// Its SPIR-V, a constant of the program.
  var code: UnsafeRawBufferPointer {
    for shader in UnsafeBufferPointer(start: Self.table, count: Int(banana_shader_count))
    where String(cString: shader.name) == rawValue {
      return UnsafeRawBufferPointer(start: shader.code, count: shader.byte_count)
    }
    preconditionFailure("no shader \(rawValue) is embedded: run make shaders")
  }

  private static var table: UnsafePointer<banana_shader>? {
    // An array of unknown size is imported as a pointer to nothing.
    banana_shader_table()
  }
}
