import TensorTypes

/// The vectors of a word that was taught to a model: a textual inversion.
package struct PeelEmbedding: Sendable {
  /// As many as a text encoder of 77 tokens reads at once between its begin and its end.
  package static let maximumVectors = 75
  private static let widths = 2...65_536
  /// Bytes of a word as its file writes it.
  private static let longestToken = 100

  /// What its file calls the word, if in angle brackets: `<cat-toy>`.
  package let token: String?
  /// `[vector, width]` by text encoder, the first of which is 1.
  private let tensors: [Int: PeelTensor]

  /// How many vectors it has, of each text encoder.
  package var count: Int { tensors.values.first.map(Self.count) ?? 0 }
  /// Of the vectors, by text encoder.
  package var widths: [Int: Int] { tensors.mapValues(Self.width) }

  /// `[vector, width]`, row by row; read from the file's bytes each time.
  /// - Precondition: There are some of that text encoder.
  package func vectors(of textEncoder: Int) -> [Float] { tensors[textEncoder]!.numbers }

  /// What a file has: `emb_params`, as AUTOMATIC1111's web UI stores it; `clip_l` and `clip_g`, one
  /// of each text encoder of SDXL; or one tensor that is called as the word is, by diffusers. Nil
  /// where it has something else.
  /// - Throws: `PeelError` for what is none after all.
  init?(in file: SafetensorsFile) throws(PeelError) {
    let names = file.names
    let encoders = ["emb_params": 1, "clip_l": 1, "clip_g": 2]
    var token: String?
    var tensors: [Int: PeelTensor] = [:]
    if !names.isEmpty, names.allSatisfy({ encoders[$0] != nil }) {
      if names.contains("emb_params"), names.count > 1 { return nil }
      for name in names { tensors[encoders[name]!] = try Self.tensor(name, in: file) }
    } else if names.count == 1, let name = names.first, Self.isWord(name),
      file.tensor(named: name)!.shape.rank <= 2
    {
      token = name.hasPrefix("<") && name.hasSuffix(">") && name.utf8.count > 2 ? name : nil
      tensors[1] = try Self.tensor(name, in: file)
    } else {
      return nil
    }
    self.token = token
    self.tensors = tensors
    let count = tensors.values.first.map(Self.count) ?? 0
    guard 1...Self.maximumVectors ~= count else {
      throw .wrongVectors(count, maximum: Self.maximumVectors)
    }
    for name in names {
      let tensor = tensors[encoders[name] ?? 1]!
      if Self.count(tensor) != count || !Self.widths.contains(Self.width(tensor)) {
        throw .wrongShape(tensor: name, shape: tensor.shape)
      }
    }
  }

  /// What a layer's part is not called.
  private static func isWord(_ name: String) -> Bool {
    guard 1...longestToken ~= name.utf8.count, !name.contains(".") else { return false }
    return name.unicodeScalars.allSatisfy {
      !$0.properties.isWhitespace && $0.properties.generalCategory != .control
    }
  }

  private static func tensor(
    _ name: String, in file: SafetensorsFile
  ) throws(PeelError) -> PeelTensor {
    let shape = file.tensor(named: name)!.shape
    guard shape.rank <= 2 else { throw .wrongShape(tensor: name, shape: shape) }
    // One vector may come without its axis.
    if shape.rank == 1 { return try PeelTensor(row: name, in: file) }
    return try PeelTensor(name, in: file)
  }

  private static func count(_ tensor: PeelTensor) -> Int {
    tensor.shape.rank == 1 ? 1 : tensor.rows
  }

  private static func width(_ tensor: PeelTensor) -> Int { tensor.shape.last }
}
