import Diffusion
import Imaging

/// A job on its way through the engine; used on the engine's thread only.
final class JobDrawing {
  let request: PictureRequest
  let drawing: Drawing
  let settings: PassSettings
  /// Set once the prompt is encoded.
  var subject: Subject?
  /// Wall-clock seconds, those of passes that several pictures share divided among them.
  var seconds: [PictureStage: Double] = [:]
  private let job: PictureJob
  private let model: ModelDescription
  private var pictures: [PictureResult.Picture] = []
  private var isEnded = false

  init(_ job: PictureJob, model: ModelDescription) {
    self.job = job
    self.model = model
    request = job.request
    drawing = Drawing(
      prompt: request.prompt, style: request.style, guidance: request.guidance,
      source: request.edit.map { SourcePicture(image: $0.image, mask: $0.mask) })
    settings = PassSettings(
      size: request.width, steps: request.steps, strength: request.edit?.strength ?? 1,
      peels: request.peels.map(\.weighted))
  }

  /// Whether the job still wants pictures; one that was cancelled ends here.
  var isWanted: Bool {
    if !isEnded, job.isCancelled() { end(.failure(.cancelled)) }
    return !isEnded
  }

  /// Finishes the job unless that is done.
  func end(_ result: Result<PictureResult, EngineError>) {
    if isEnded { return }
    isEnded = true
    job.finish(result)
  }

  /// Does a piece of this job's own work; what goes wrong ends this job and no other.
  func perform(_ work: (JobDrawing) throws(GenerationError) -> Void) {
    guard isWanted else { return }
    do throws(GenerationError) { try work(self) } catch { end(.failure(EngineError(error))) }
  }

  /// Likewise for what comes before the first pass, whose time is noted.
  func encodePrompt(_ encode: (JobDrawing) throws(GenerationError) -> Void) {
    let start = ContinuousClock.now
    perform { (drawing) throws(GenerationError) in
      report(.text, 0, of: 1, picture: 0)
      try encode(drawing)
      report(.text, 1, of: 1, picture: 0)
    }
    seconds[.text] = (ContinuousClock.now - start).seconds
  }

  /// Whether pictures of both jobs can be drawn in one pass.
  func canShareAPass(with other: JobDrawing) -> Bool {
    self === other || settings == other.settings && subject?.shape == other.subject?.shape
  }

  func report(_ stage: PictureStage, _ step: Int, of steps: Int, picture: Int) {
    job.progress(
      PictureProgress(
        stage: stage, step: step, steps: steps, picture: picture, pictures: request.count))
  }

  /// Which preview is due after a step, if any: they are spread evenly over the steps before the
  /// last, and fewer where there are not as many.
  func previewNumber(after step: Int, of steps: Int) -> Int? {
    Self.previewSteps(request.previews, of: steps).firstIndex(of: step)
  }

  static func previewSteps(_ count: Int, of steps: Int) -> [Int] {
    let due = (1...max(count, 1)).map {
      Int((Double(steps * $0) / Double(count + 1)).rounded())
    }
    return count == 0 ? [] : Set(due).filter { 1..<max(steps, 1) ~= $0 }.sorted()
  }

  /// Sends a preview, at half the size where that is even.
  func show(_ picture: PremultipliedImage, as number: Int, of index: Int) {
    let factor = picture.width % 2 == 0 && picture.height % 2 == 0 ? 2 : 1
    guard isWanted, let png = encoded(picture.boxAveraged(by: factor), seed: nil) else { return }
    job.preview(PicturePreview(png: png, index: number, picture: index))
  }

  /// Takes a picture that is done.
  func take(_ picture: PremultipliedImage, seed: UInt64) {
    guard isWanted, let png = encoded(picture, seed: seed) else { return }
    pictures.append(PictureResult.Picture(png: png, seed: seed))
  }

  /// Finishes the job once all its pictures are done.
  func endIfComplete() {
    guard pictures.count == request.count else { return }
    end(
      .success(
        PictureResult(
          pictures: pictures, secondsByStage: seconds,
          promptTokensTruncated: subject?.isTruncated ?? false)))
  }

  /// A PNG file; nil, and the job ended, if it cannot be made.
  private func encoded(_ picture: PremultipliedImage, seed: UInt64?) -> [UInt8]? {
    let shown = request.background == .opaque ? picture.composited(on: .white) : picture
    do throws(PNGError) {
      return try PNG.encode(
        shown.pixels(), texts: Provenance.texts(of: request, seed: seed, model: model))
    } catch {
      end(.failure(.failed(message: "\(error)")))
      return nil
    }
  }
}

/// One picture of a job.
struct PicturePlace {
  let drawing: JobDrawing
  let index: Int

  var seed: UInt64 { drawing.request.seed &+ UInt64(index) }

  func isSame(as other: PicturePlace) -> Bool {
    drawing === other.drawing && index == other.index
  }
}
