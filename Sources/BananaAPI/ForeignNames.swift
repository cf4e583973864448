/// What other programs say, and how it is said here.
package enum ForeignNames {
  /// OpenAI's fields that mean nothing here, beside those that `ImageGenerationRequest` has.
  package static let ignoredFields: Set<String> = [
    "safety_identifier", "complexity", "frame_count", "frame_duration_ms", "input_fidelity",
    "prompt_rewriter", "svg",
  ]

  /// Those of OpenAI's fields that change nothing about a picture anywhere: nobody needs to be told
  /// that they were ignored.
  package static let silentFields: Set<String> = ["safety_identifier"]

  /// What to do about a field that is not known: a clause that goes on where "Unknown field "x""
  /// ends; nil when no program is known to have it.
  package static func hint(for name: String, known: [String]) -> String? {
    let stem = stem(name)
    if let same = known.first(where: { self.stem($0) == stem }) { return "it is written \(same)" }
    if let field = renamed[stem] { return "here it is \(field)" }
    return advice[stem]
  }

  /// `guidance_scale`, `guidanceScale` and `Guidance-Scale` are one name.
  private static func stem(_ name: String) -> String {
    String(name.lowercased().unicodeScalars.filter { !"_- ".unicodeScalars.contains($0) })
  }

  /// Stems of other programs' names, and our field that means the same: AUTOMATIC1111's, ComfyUI's,
  /// LocalAI's, stable-diffusion.cpp's, diffusers'.
  private static let renamed: [String: String] = [
    "numinferencesteps": "steps", "inferencesteps": "steps", "numsteps": "steps", "step": "steps",
    "samplesteps": "steps", "samplingsteps": "steps",
    "cfgscale": "guidance", "cfg": "guidance", "guidancescale": "guidance",
    "truecfgscale": "guidance", "txtcfg": "guidance",
    "batchsize": "n", "batchcount": "n", "niter": "n", "numimages": "n", "numimagesperprompt": "n",
    "numoutputs": "n", "nsamples": "n", "numsamples": "n", "samples": "n", "count": "n",
    "width": "size, as \"512x512\"", "height": "size, as \"512x512\"",
    "resolution": "size, as \"512x512\"", "imagesize": "size, as \"512x512\"",
    "aspectratio": "size, as \"512x512\"",
    "text": "prompt", "inputs": "prompt", "positiveprompt": "prompt", "textprompt": "prompt",
    "noiseseed": "seed", "randomseed": "seed", "manualseed": "seed", "generator": "seed",
    "modelid": "model", "modelname": "model", "checkpoint": "model", "ckptname": "model",
    "sdmodelcheckpoint": "model",
    "negative": "negative_prompt", "negativeprompts": "negative_prompt",
    "uncond": "negative_prompt",
    "samplername": "sampler", "samplerindex": "sampler", "samplemethod": "sampler",
    "samplingmethod": "sampler",
    // A1111's, ComfyUI's and stable-diffusion.cpp's is of levels; diffusers' classes are both.
    "scheduler": "spacing, or sampler if it is one of diffusers' schedulers",
    "schedulertype": "sampler, with spacing for its levels of noise",
    "schedule": "spacing", "scheduletype": "spacing", "sigmaschedule": "spacing",
    "noiseschedule": "spacing", "timestepspacing": "spacing", "usekarrassigmas": "spacing",
    "styles": "style", "stylepreset": "style",
    "clipstopatlastlayers": "clip_skip", "stopatcliplayer": "clip_skip, which counts from 1",
    "lora": "peels", "loras": "peels", "loraname": "peels", "lorascale": "peels",
    "lorastrength": "peels", "adapters": "peels", "adaptername": "peels",
    "loraweights": "peels", "crossattentionkwargs": "peels",
    "outputtype": "output_format", "imageformat": "output_format", "format": "output_format",
    "returntype": "response_format", "responsetype": "response_format",
  ]

  private static let advice: [String: String] = {
    var advice: [String: String] = [:]
    func say(_ clause: String, _ stems: String...) {
      for stem in stems { advice[stem] = clause }
    }
    say(
      "levels of noise are chosen by steps and spacing: leave it out", "eta", "sigmas",
      "timesteps")
    say(
      "an image to begin with is a file of a form: send multipart/form-data with image, prompt and "
        + "strength to POST \(Route.imageEdits)",
      "initimage", "initimages", "initimg", "image", "images", "imageurl", "inputimage",
      "refimages", "referenceimages", "file", "mask", "maskimage", "maskurl", "inpaintingfill")
    say(
      "how much to change is strength, in a form with the image to POST \(Route.imageEdits)",
      "denoisingstrength", "denoise", "strength", "imagestrength", "promptstrength",
      "imgstrength")
    say(
      "this is another program's and means nothing here: leave it out", "enablehr", "hrscale",
      "hrupscaler", "restorefaces", "tiling", "overridesettings", "alwaysonscripts", "scriptname",
      "scriptargs", "sendimages", "saveimages", "donotsavesamples", "donotsavegrid", "subseed",
      "subseedstrength", "safetychecker", "enablesafetychecker", "workflow", "clientid", "mode",
      "controlnet", "controlimage")
    return advice
  }()
}

extension ForeignNames {
  /// An adapter that a prompt names as AUTOMATIC1111 and stable-diffusion.cpp read it:
  /// `<lora:pixel-art:0.8>`.
  package struct PromptTag: Equatable {
    /// As it stands in the prompt.
    package var text: String
    package var name: String
    package var strength: Double
  }

  /// The first such tag in a prompt.
  package static func promptTag(in prompt: String) -> PromptTag? {
    for piece in prompt.split(separator: "<", omittingEmptySubsequences: false).dropFirst() {
      guard let end = piece.firstIndex(of: ">") else { continue }
      let words = piece[..<end].split(separator: ":", omittingEmptySubsequences: false)
        .map(String.init)
      if words.count >= 2, !words[1].isEmpty,
        ["lora", "lyco", "locon", "hypernet"].contains(words[0].lowercased())
      {
        let strength = words.count > 2 ? Double(words[2]) ?? 1 : 1
        return PromptTag(text: "<\(piece[...end])", name: words[1], strength: strength)
      }
    }
    return nil
  }
}
