import BananaAPI
import Diffusion
import Imaging
import Models

/// What a PNG says of how it came about.
enum Provenance {
  static let software = "Banana"
  /// The IPTC's vocabulary of how pictures came about.
  static let sourceTypes = "http://cv.iptc.org/newscodes/digitalsourcetype/"

  /// The texts of a picture's file: the marking as made by a model always, and unless the request
  /// says otherwise, what draws it again.
  /// - Parameter seed: Of this picture; nil for a preview, which is only marked.
  static func texts(
    of request: PictureRequest, seed: UInt64?, model: ModelDescription
  ) -> [PNG.Text] {
    // A masked edit leaves parts as they were.
    let sourceType =
      request.image(.mask) == nil
      ? "trainedAlgorithmicMedia" : "compositeWithTrainedAlgorithmicMedia"
    let marking = PNG.Text(keyword: "XML:com.adobe.xmp", text: xmp(sourceType: sourceType))
    guard let seed, request.marksProvenance else { return [marking] }
    var texts = [
      PNG.Text(keyword: "Software", text: software),
      PNG.Text(keyword: "prompt", text: request.prompt),
      PNG.Text(keyword: "seed", text: "\(seed)"),
      PNG.Text(keyword: "steps", text: "\(request.steps ?? model.defaultSteps)"),
      PNG.Text(keyword: "model", text: "\(model.name) \(model.version)"),
    ]
    if let style = request.style ?? model.defaultStyle {
      texts.append(PNG.Text(keyword: "style", text: style))
    }
    let guidance = request.guidance ?? model.defaultGuidance
    if guidance != 1 { texts.append(PNG.Text(keyword: "guidance", text: "\(guidance)")) }
    if let sampler = request.sampler {
      let name = ImageGenerationRequest.Sampler(sampler).rawValue
      texts.append(PNG.Text(keyword: "sampler", text: name))
    }
    if let spacing = request.spacing {
      texts.append(PNG.Text(keyword: "spacing", text: spacing.rawValue))
    }
    if let skip = request.clipSkip {
      texts.append(PNG.Text(keyword: "clip_skip", text: "\(skip)"))
    }
    if !request.negativePrompt.isEmpty {
      texts.append(PNG.Text(keyword: "negative_prompt", text: request.negativePrompt))
    }
    if request.isEdit {
      texts.append(PNG.Text(keyword: "strength", text: "\(request.strength)"))
    }
    if !request.peels.isEmpty {
      let peels = request.peels.map {
        "\($0.name):\($0.strength) sha256=\($0.sha256)"
      }
      texts.append(PNG.Text(keyword: "peels", text: peels.joined(separator: ", ")))
    }
    if !request.words.isEmpty {
      let words = request.words.map { "\($0.name) sha256=\($0.sha256)" }
      texts.append(PNG.Text(keyword: "embeddings", text: words.joined(separator: ", ")))
    }
    return texts + [marking]
  }

  /// An XMP packet (ISO 16684-1) with the IPTC's digital source type.
  private static func xmp(sourceType: String) -> String {
    """
    <?xpacket begin="\u{FEFF}" id="W5M0MpCehiHzreSzNTczkc9d"?>
    <x:xmpmeta xmlns:x="adobe:ns:meta/">
     <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
      <rdf:Description rdf:about=""
        xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
        xmlns:xmp="http://ns.adobe.com/xap/1.0/"
        Iptc4xmpExt:DigitalSourceType="\(sourceTypes)\(sourceType)"
        xmp:CreatorTool="\(software)"/>
     </rdf:RDF>
    </x:xmpmeta>
    <?xpacket end="r"?>
    """
  }
}
