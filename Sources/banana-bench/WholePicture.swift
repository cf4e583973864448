import Diffusion
import Execution
import Imaging
import Models

/// One picture from the prompt to the bytes of its file, with the model's own settings.
struct WholePicture {
  let pipeline: Pipeline
  private let request: PictureRequest

  init(_ pipeline: Pipeline, size: PictureSize) {
    self.pipeline = pipeline
    request = PictureRequest(prompt: "a red apple", size: size, seed: 7)
  }

  /// Milliseconds of each part.
  func measure() throws -> [(part: String, milliseconds: Double)] {
    var parts: [(String, Double)] = []
    func timed<Result>(_ part: String, _ work: () throws -> Result) rethrows -> Result {
      let start = ContinuousClock.now
      let result = try work()
      parts.append((part, (ContinuousClock.now - start) / .milliseconds(1)))
      return result
    }
    let conditioning = try timed("text") { try pipeline.prepare(request) }
    let latents = try timed("denoising") {
      let denoising = try pipeline.begin(request)
      let picture = try denoising.begin(conditioning, seed: request.seed)
      while !denoising.isDone { try denoising.advance() }
      return picture.latents
    }
    let picture = try timed("decoder and alpha") {
      try pipeline.decode(latents, of: conditioning)
    }
    try timed("PNG") {
      var writer = try PNGWriter(
        width: picture.width, height: picture.height, format: picture.colorChannels)
      while try picture.writeNext(to: &writer) {}
      _ = writer.finish()
    }
    return parts
  }
}
