import Diffusion
import Execution
import Imaging
import Models

/// A job on its way through the engine; used on the engine's thread only.
final class JobDrawing {
  let request: PictureRequest
  /// Set once the prompt is encoded.
  private(set) var conditioning: Conditioning?
  /// Wall-clock seconds, those of steps that several pictures share divided among them.
  private var seconds: [PictureStage: Double] = [:]
  /// The same in this turn, and with the rests that pace wanted.
  private(set) var turnSeconds = 0.0
  private var job: PictureJob
  private let model: ModelDescription
  /// The first that is not begun.
  private var next = 0
  /// Begun in an earlier turn.
  private var unfinished: [PicturePlace] = []
  private var pictures: [Int: PictureResult.Picture] = [:]
  private var overflowed: [Int] = []
  private var isEnded = false

  /// The drawing of a job, where an earlier turn left it.
  static func of(_ job: PictureJob, model: ModelDescription) -> JobDrawing {
    guard let drawing = job.state.content as? JobDrawing else {
      return JobDrawing(job, model: model)
    }
    drawing.job = job
    drawing.turnSeconds = 0
    return drawing
  }

  private init(_ job: PictureJob, model: ModelDescription) {
    self.job = job
    self.model = model
    request = job.request
  }

  /// Encodes the prompt; what goes wrong ends the job.
  func prepare(_ encode: (PictureRequest) throws(GenerationError) -> Conditioning) {
    perform { (job) throws(GenerationError) in
      job.report(.text, 0, of: 1, picture: 0)
      job.conditioning = try encode(job.request)
      job.report(.text, 1, of: 1, picture: 0)
    }
  }

  /// Takes the next picture to work on into a pass; nil if there is none.
  func nextPicture(in denoising: Denoising) -> PicturePlace? {
    var place: PicturePlace?
    perform { (job) throws(GenerationError) in
      if let left = job.unfinished.first {
        try denoising.add(left.picture)
        job.unfinished.removeFirst()
        place = left
      } else if let conditioning = job.conditioning, job.next < job.request.count {
        let picture = try denoising.begin(conditioning, seed: job.seed(of: job.next))
        place = PicturePlace(drawing: job, index: job.next, picture: picture)
        job.next += 1
      }
    }
    return place
  }

  /// Puts a picture back, to go on with before any other.
  func keep(_ place: PicturePlace) {
    unfinished.insert(place, at: 0)
  }

  /// Notes what a piece of work took.
  func took(_ seconds: Double, rest: Double, in stage: PictureStage) {
    self.seconds[stage, default: 0] += seconds
    turnSeconds += seconds + rest
  }

  /// Leaves the turn.
  func pause() {
    job.state.content = isEnded ? nil : self
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
    do throws(GenerationError) { try work(self) } catch { end(.failure(.generation(error))) }
  }

  private func seed(of index: Int) -> UInt64 { request.seed &+ UInt64(index) }

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
  func show(_ picture: any RowSource, as number: Int, of index: Int) {
    let isEven = picture.width % 2 == 0 && picture.height % 2 == 0
    let shown = isEven ? picture.through(BoxAverage(by: 2, picture.colorChannels)) : picture
    guard isWanted, let png = encoded(shown, seed: nil) else { return }
    job.preview(PicturePreview(png: png, index: number, picture: index))
  }

  /// Notes that the numbers of a picture became too large to draw it.
  func noteOverflow(_ index: Int) { overflowed.append(index) }

  /// Takes a picture that is done.
  func take(_ picture: any RowSource, of index: Int) {
    let seed = seed(of: index)
    guard isWanted, let png = encoded(picture, seed: seed) else { return }
    pictures[index] = PictureResult.Picture(png: png, seed: seed)
  }

  /// Finishes the job once all its pictures are done.
  func endIfComplete() {
    guard pictures.count == request.count else { return }
    end(
      .success(
        PictureResult(
          pictures: pictures.sorted { $0.key < $1.key }.map(\.value), secondsByStage: seconds,
          omitted: conditioning?.omitted ?? OmittedTexts(),
          overflowed: overflowed.sorted(), isPromptUnknown: conditioning?.isUnknown ?? false)))
  }

  /// A PNG file; nil, and the job ended, if it cannot be made.
  private func encoded(_ picture: any RowSource, seed: UInt64?) -> [UInt8]? {
    let hasGround = request.background == .opaque && picture.colorChannels == .rgba
    let shown = hasGround ? picture.through(Background(.white)) : picture
    do throws(PNGError) {
      var writer = try PNGWriter(
        width: shown.width, height: shown.height, format: shown.colorChannels,
        texts: Provenance.texts(of: request, seed: seed, model: model))
      do throws(ExecutionError) { while try shown.writeNext(to: &writer) {} } catch {
        end(.failure(.generation(.execution(error))))
        return nil
      }
      return writer.finish()
    } catch {
      end(.failure(.file(error)))
      return nil
    }
  }
}

/// One picture of a job.
struct PicturePlace {
  let drawing: JobDrawing
  let index: Int
  let picture: UnfinishedPicture
}
