import Graph
import TensorTypes

/// The names that the package's tensors have, and the shapes that they must have.
enum StickerWeightMap {
  /// A matrix product's weight and bias.
  struct Affine {
    let weight: WeightReference
    let bias: WeightReference

    init(_ stem: String, _ weightShape: Shape) {
      weight = WeightReference("\(stem).weight", weightShape)
      bias = WeightReference("\(stem).bias", [weightShape[0]])
    }

    /// A norm's weight and bias.
    init(norm stem: String, _ width: Int) {
      weight = WeightReference("\(stem).weight", [width])
      bias = WeightReference("\(stem).bias", [width])
    }
  }

  struct TextEncoderLayer {
    let queryKeyValue, output, up, down: Affine
    let attentionNorm, outputNorm: Affine
  }

  struct TextEncoder {
    let words, positions, types: WeightReference
    let embeddingNorm: Affine
    let layers: [TextEncoderLayer]

    init(_ c: StickerConfiguration.TextEncoder) {
      words = WeightReference("word_embedding.weight", [c.vocabularySize, c.width])
      positions = WeightReference("position_embedding.weight", [c.maximumPositions, c.width])
      types = WeightReference("token_type_embedding.weight", [2, c.width])
      embeddingNorm = Affine(norm: "embedding_norm", c.width)
      layers = (0..<c.layers).map { layer in
        let stem = "layers.\(layer)"
        return TextEncoderLayer(
          queryKeyValue: Affine("\(stem).qkv", [3 * c.width, c.width]),
          output: Affine("\(stem).attention_out", [c.width, c.width]),
          up: Affine("\(stem).up", [c.hiddenWidth, c.width]),
          down: Affine("\(stem).down", [c.width, c.hiddenWidth]),
          attentionNorm: Affine(norm: "\(stem).attention_norm", c.width),
          outputNorm: Affine(norm: "\(stem).output_norm", c.width))
      }
    }
  }

  struct DenoiserLayer {
    let queryKeyValue, attentionOutput, gate, up, down: WeightReference
    let queryNorm, keyNorm, textKeyNorm, modulation: WeightReference

    init(_ c: StickerConfiguration.Denoiser, _ layer: Int) {
      func weight(_ name: String, _ shape: Shape) -> WeightReference {
        WeightReference("layers.\(layer).\(name)", shape)
      }
      queryKeyValue = weight("qkv.weight", [c.width + 2 * c.keyValueWidth, c.width])
      attentionOutput = weight("out.weight", [c.width, c.width])
      gate = weight("gate.weight", [c.hiddenWidth, c.width])
      up = weight("up.weight", [c.hiddenWidth, c.width])
      down = weight("down.weight", [c.width, c.hiddenWidth])
      queryNorm = weight("q_norm", [c.headWidth])
      keyNorm = weight("k_norm", [c.headWidth])
      textKeyNorm = weight("text_k_norm", [c.headWidth])
      modulation = weight("modulation", [6, c.width])
    }
  }

  struct Denoiser {
    let input, pooled, modulation, textKeyValue, finalModulation, output: Affine
    let sigma: [Affine]
    let layers: [DenoiserLayer]

    init(_ c: StickerConfiguration.Denoiser) {
      input = Affine("input", [c.width, c.latentChannels])
      sigma = [
        Affine("sigma.0", [c.width, c.sigmaChannels]), Affine("sigma.2", [c.width, c.width]),
      ]
      pooled = Affine("pooled", [c.width, c.textWidth])
      modulation = Affine("modulation", [6 * c.width, c.width])
      textKeyValue = Affine("text_kv", [c.layers * 2 * c.keyValueWidth, c.textWidth])
      layers = (0..<c.layers).map { DenoiserLayer(c, $0) }
      finalModulation = Affine("final_modulation", [2 * c.width, c.width])
      output = Affine("output", [c.latentChannels, c.width])
    }
  }

  struct ResidualBlock {
    let norm1, norm2: WeightReference
    let convolution1, convolution2: Affine

    init(_ stem: String, _ width: Int) {
      norm1 = WeightReference("\(stem).norm1.weight", [width])
      norm2 = WeightReference("\(stem).norm2.weight", [width])
      convolution1 = Affine("\(stem).conv1", [width, 3, 3, width])
      convolution2 = Affine("\(stem).conv2", [width, 3, 3, width])
    }
  }

  struct DecoderLayer {
    let norm1, norm2: WeightReference
    let queryKeyValue, attentionOutput, gate, up, down: WeightReference
    let queryNorm, keyNorm: WeightReference

    init(_ c: StickerConfiguration.Decoder, _ layer: Int) {
      func weight(_ name: String, _ shape: Shape) -> WeightReference {
        WeightReference("layers.\(layer).\(name).weight", shape)
      }
      norm1 = weight("norm1", [c.width])
      norm2 = weight("norm2", [c.width])
      queryKeyValue = weight("qkv", [c.width + 2 * c.keyValueWidth, c.width])
      attentionOutput = weight("out", [c.width, c.width])
      gate = weight("gate", [c.hiddenWidth, c.width])
      up = weight("up", [c.hiddenWidth, c.width])
      down = weight("down", [c.width, c.hiddenWidth])
      queryNorm = weight("q_norm", [c.headWidth])
      keyNorm = weight("k_norm", [c.headWidth])
    }
  }

  struct Decoder {
    let linear, input: Affine
    let head, norm: WeightReference
    let layers: [DecoderLayer]

    init(_ c: StickerConfiguration.Decoder) {
      let pixels = c.patch * c.patch * 4
      linear = Affine("linear_out", [pixels, c.latentChannels])
      input = Affine("input", [c.width, c.latentChannels])
      head = WeightReference("head.weight", [pixels, c.width])
      norm = WeightReference("norm.weight", [c.width])
      layers = (0..<c.layers).map { DecoderLayer(c, $0) }
    }
  }

  struct Encoder {
    let linear, stem, head: Affine
    let headNorm: WeightReference
    let stages: [[ResidualBlock]]
    /// What leads from each stage to the next.
    let steps: [Affine]

    init(_ c: StickerConfiguration.Encoder) {
      linear = Affine("linear_in", [c.latentChannels, c.patch * c.patch * 4])
      stem = Affine("stem", [c.widths[0], c.headFactor * c.headFactor * 4])
      steps = (1..<max(c.widths.count, 1)).map {
        Affine("stages.\($0).down", [c.widths[$0], 4 * c.widths[$0 - 1]])
      }
      let last = c.widths[c.widths.count - 1]
      head = Affine("head", [c.latentChannels, last])
      headNorm = WeightReference("norm.weight", [last])
      stages = c.widths.indices.map { stage in
        (0..<c.blocks[stage]).map {
          ResidualBlock("stages.\(stage).blocks.\($0)", c.widths[stage])
        }
      }
    }
  }
}
