package import BananaAPI
package import Diffusion
import Models

/// What a person should know of how a request was read.
package enum RequestWarnings {
  /// Warnings that are known before anything is drawn, beside those of its recipe.
  package static func of(
    _ wire: ImageGenerationRequest, as request: PictureRequest, by model: ModelDescription
  ) -> [String] {
    var warnings: [String] = []
    if let warning = model.warning(onSize: wire.size, drawn: request.size) {
      warnings.append(warning)
    }
    if let style = wire.style, style != request.style {
      warnings.append("style \"\(style)\" means nothing to \(model.name) and was ignored.")
    }
    if !request.negativePrompt.isEmpty {
      let isLedAway = (request.guidance ?? model.defaultGuidance) != 1
      if model.guidanceForm != .classifierFree {
        warnings.append(
          "negative_prompt was ignored: nothing leads away from it without guidance, which "
            + "\(model.name) has built in.")
      } else if !isLedAway {
        warnings.append(
          "negative_prompt was ignored: nothing leads away from it without guidance.")
      }
    }
    if wire.background == .transparent, model.isOpaque {
      warnings.append("background \"transparent\" was ignored: \(model.name) draws the ground too.")
    }
    if let quality = wire.quality, quality != "auto" {
      warnings.append("quality \"\(quality.cut(32))\" means nothing here and was ignored.")
    }
    if wire.outputCompression != nil {
      warnings.append("output_compression means nothing for a PNG file and was ignored.")
    }
    for name in wire.ignored where !ForeignNames.silentFields.contains(name) {
      warnings.append("\(name) means nothing here and was ignored.")
    }
    return warnings
  }
}
