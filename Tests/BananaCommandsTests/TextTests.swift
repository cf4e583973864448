import BananaAPI
import BananaSDK
import FoundationEssentials
import Testing

@testable import BananaCommands

@Suite struct TextTests {
  @Test func namesSeveralFiles() {
    #expect(PictureOutput.paths(for: "out.png", count: 1) == ["out.png"])
    let several = PictureOutput.paths(for: "a.b/out.png", count: 2)
    #expect(several == ["a.b/out-1.png", "a.b/out-2.png"])
    #expect(PictureOutput.paths(for: "a.b/out", count: 2) == ["a.b/out-1", "a.b/out-2"])
    #expect(PictureOutput.paths(for: ".png", count: 2) == [".png-1", ".png-2"])
  }

  @Test func drawsTheBar() {
    func line(_ stage: GenerationProgress.Stage, _ step: Int, _ of: Int, _ left: Double?) -> String
    {
      ProgressBar.line(
        GenerationProgress(
          stage: stage, step: step, of: of, picture: 0, pictures: 1, secondsLeft: left))
    }
    #expect(line(.denoise, 6, 12, 1.24) == "denoise [############............] 6/12  1.2 s left")
    #expect(line(.text, 0, 0, nil) == "text    [........................] 0/0")
    #expect(line(.queued, 1, 1, nil) == "waiting for 1 job")
    #expect(ProgressBar.seconds(0.04) == "0.0 s")
    #expect(ProgressBar.seconds(59.4) == "59 s")
    #expect(ProgressBar.seconds(125) == "2 min 5 s")
  }

  @Test func reportsTheTimeOfEachStage() {
    let answer = ImageGenerationResponse(
      created: 0, data: [GeneratedImage(png: Data(count: 2048), seed: 7)],
      background: "transparent", size: "512x512", quality: "auto", model: "m",
      timings: Timings(
        queueSeconds: 0, textSeconds: 0.0126, denoiseSeconds: 1.5, decodeSeconds: 0.2,
        encodeSeconds: 0.03, totalSeconds: 1.75),
      warnings: [])
    #expect(
      GenerationReport(answer, paths: ["out.png"]).text == """
        out.png  512x512, seed 7, 2 KiB
        queue 0 ms, text 13 ms, denoise 1500 ms, decode 200 ms, png 30 ms; 1750 ms in all
        """)
  }

  @Test func tellsManySizesInFewWords() {
    var model = ModelInfo(
      id: "m", created: 0, status: .available, family: "f", version: "1",
      description: "", licenses: [], styles: [], defaultStyle: nil,
      sizes: ["256x256", "512x512"], nativeSize: "512x512", defaultSteps: 4, defaultGuidance: 1,
      parameterCount: nil, weightBytes: 0, peakBytes: nil)
    #expect(ModelText.text(model).contains("  sizes 256x256, 512x512; 4 steps"))
    (model.sizes, model.sizeRule) = (
      ["512x512"], .init(multipleOf: 64, minimum: 256, maximum: 1024)
    )
    #expect(
      ModelText.text(model).contains(
        "  sizes any multiple of 64 from 256 to 1024 on a side, best 512x512; 4 steps"))
  }

  @Test func tellsAnAliasFromAModel() {
    var model = ModelInfo(
      id: "dall-e-3", created: 0, status: .available, family: "f", version: "1",
      description: "Draws.", licenses: [], styles: [], defaultStyle: nil, sizes: ["256x256"],
      nativeSize: "256x256", defaultSteps: 4, defaultGuidance: 1, parameterCount: 1,
      weightBytes: 1, peakBytes: 1)
    model.aliasOf = "m"
    #expect(ModelText.text(model) == "dall-e-3  another name for m")
  }

  /// A package, or another user, decides what is in these.
  @Test func whatOthersWroteDoesNothingToTheTerminal() throws {
    let text = "\u{1B}[2J\u{9B}31mred\r\u{7}"
    var model = ModelInfo(
      id: text, created: 0, status: .unavailable, family: "f", version: text,
      description: text, licenses: [], styles: [text], defaultStyle: nil, sizes: [text],
      nativeSize: nil, defaultSteps: 4, defaultGuidance: 1, parameterCount: 1, weightBytes: 1,
      peakBytes: 1)
    model.reason = text
    var job = JobInfo(
      id: "job", state: .failed, uid: 1, priority: .normal, createdAt: 0, size: "1x1", pictures: 1,
      steps: 1, isStored: false)
    job.error = APIError(.internalError, text)
    for shown in [ModelText.text(model), JobsListCommand.text(job), "a\n\(text)".printableLines] {
      #expect(shown.contains("red"))
      #expect(
        shown.unicodeScalars.allSatisfy {
          $0 == "\n" || $0.properties.generalCategory != .control
        })
    }
    model.aliasOf = text
    #expect(!ModelText.text(model).contains("\u{1B}"))
    #expect("a\nb".printableLines == "a\nb" && "a\nb".printable == "a b")
  }

  @Test func mapsErrorsToExitCodes() {
    func code(_ error: ErrorCode) -> FailureCode {
      Failure(BananaError.refused(.init(error, ""))).code
    }
    #expect(code(.busy) == .temporary)
    #expect(code(.modelUnavailable) == .unavailable)
    #expect(code(.invalidRequest) == .usage)
    #expect(code(.internalError) == .other)
    #expect(Failure(BananaError.cancelled).code == .interrupted)
    let missing = Failure(BananaError.daemonNotRunning(socketPath: "/run/x"))
    #expect(missing.code == .unavailable)
    #expect(missing.message.contains("bananad --socket /run/x"))
    #expect(missing.message.contains("--local"))
    let system = Failure(BananaError.daemonNotRunning(socketPath: "/run/banana/none.sock"))
    #expect(system.message.contains("systemctl enable --now bananad.socket"))
    let refused = Failure(BananaError.permissionDenied(socketPath: "/run/banana/none.sock"))
    #expect(refused.message.contains("sudo usermod -aG banana "))
  }

  @Test func tellsStatusToAPerson() {
    var status = DaemonStatus(
      version: "1.2.3", pid: 7, uptimeSeconds: 3720, socket: "/s",
      model: .init(id: "m", status: .available, reason: nil), backend: "cpu", queueDepth: 1,
      queueCapacity: 32, runningJobs: 0, running: nil, finishedJobs: 5, connections: 1,
      memory: .init(residentBytes: 312 << 20, availableBytes: 3_489_660_928),
      thermal: ThermalStatus(
        isLimited: false, budget: 1, limits: .init(batch: 4, threads: 4, pace: 1),
        zone: .init(type: "cpu-thermal", celsius: 60.6, passiveCelsius: 80),
        isKernelThrottling: false, isUnderVoltage: false, clockLimit: nil))
    #expect(
      StatusCommand.text(status) == """
        bananad  1.2.3, pid 7, up 1 h 2 min
        socket   /s
        model    m, available
        backend  cpu
        queue    1 of 32
        drawn    5 jobs
        memory   bananad has 312 MiB, 3.2 GiB are free
        heat     61 °C at cpu-thermal; the kernel slows down at 80 °C
        """)
    status.memory = .init(residentBytes: nil, availableBytes: nil)
    status.thermal = ThermalStatus(
      isLimited: true, budget: 0.2, limits: .init(batch: 1, threads: 2, pace: 0.7),
      zone: .init(type: "soc", celsius: 79.5, passiveCelsius: 80),
      isKernelThrottling: true, isUnderVoltage: true, clockLimit: 0.6)
    #expect(
      StatusCommand.text(status).hasSuffix(
        """
        drawn    5 jobs
        heat     80 °C at soc; the kernel slows down at 80 °C
                 limited by heat to 1 picture at a time, 2 threads, 70 % pace
                 the kernel slows the processor down to 60 % of its clock: cool the board
                 the supply voltage is too low: use a stronger power supply
        """))
    status.thermal.zone = nil
    #expect(StatusCommand.text(status).contains("heat     no sensor tells"))
  }
}
