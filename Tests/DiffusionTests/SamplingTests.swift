import Models
import Testing

@testable import Diffusion

@Suite struct SamplingTests {
  /// Known answers published with the generator (Random123's kat_vectors).
  @Test func philoxGivesItsKnownAnswers() {
    #expect(
      Philox(seed: 0).block(counter: (0, 0, 0, 0))
        == (0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8))
    let ones = UInt32.max
    #expect(
      Philox(seed: .max).block(counter: (ones, ones, ones, ones))
        == (0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd))
  }

  @Test func normalsHaveUnitVariance() {
    let values = (0..<20_000).map { Double(Philox(seed: 3).normal(at: $0)) }
    let mean = values.reduce(0, +) / 20_000
    let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / 20_000
    #expect(abs(mean) < 0.03 && abs(variance - 1) < 0.04)
    #expect(Philox(seed: 4).normal(at: 0) != Philox(seed: 3).normal(at: 0))
  }

  /// What `torch.manual_seed(0); torch.randn(3, 4, device="cuda")` gives, as AUTOMATIC1111's NV
  /// mode quotes it.
  private static let cudaNormals: [Float] = [
    -0.92466259, -0.42534415, -2.6438457, 0.14518388, -0.12086647, -0.57972564, -0.62285122,
    -0.32838709, -1.07454231, -0.36314407, -1.67105067, 2.26550497,
  ]

  @Test func noiseGoesFromChannelToChannelAsOnCUDA() {
    var space = LatentSpace(
      channels: 3, scale: 8, mean: [0, 0, 0], standardDeviation: [1, 1, 1])
    let planes = PictureNoise(seed: 0, step: 0, count: 12, space)
    for place in 0..<4 {
      for channel in 0..<3 {
        let found = planes.normal(at: 3 * place + channel)
        #expect(abs(found - Self.cudaNormals[4 * channel + place]) < 1e-6)
      }
    }
    // The generator's next numbers, by `philox_normal(0, 12, offset=1)` of the training code, and
    // those of a seed of more than 32 bits.
    let next = PictureNoise(seed: 0, step: 1, count: 12, space)
    #expect(
      abs(next.normal(at: 0) - 0.180825904) < 1e-6 && abs(next.normal(at: 3) + 0.55226278) < 1e-6)
    let large = PictureNoise(seed: 1 << 40, step: 0, count: 12, space)
    #expect(
      abs(large.normal(at: 0) + 1.26512873) < 1e-6 && abs(large.normal(at: 3) + 1.00399029) < 1e-6)
    space.noiseOrder = .latents
    let latents = PictureNoise(seed: 0, step: 0, count: 12, space)
    #expect(zip(0..<12, Self.cudaNormals).allSatisfy { abs(latents.normal(at: $0) - $1) < 1e-6 })
    #expect(
      PictureNoise(seed: 7, step: 3, count: 12, space).normal(at: 1)
        == Philox(seed: 7, stream: 3).normal(at: 1))
  }

  private static func flow(
    _ steps: Int, shift: Float = 3, strength: Float = 1
  ) throws -> NoiseSchedule {
    try NoiseSchedule(.flow(shift: shift), steps: steps, strength: strength)
  }

  @Test func scheduleFallsFromOneToZero() throws {
    for steps in [1, 2, 4, 50] {
      let levels = try Self.flow(steps).levels
      #expect(levels.count == steps + 1)
      #expect(levels.first == NoiseLevel(signal: 0, noise: 1, time: 1))
      #expect(levels.last == .clean)
      #expect(zip(levels, levels.dropFirst()).allSatisfy { $0.noise > $1.noise })
    }
    #expect(abs(try Self.flow(2).levels[1].noise - 0.75) < 1e-6)
  }

  @Test func streamsOfASeedDiffer() {
    // As `philox_normal` of the training code gives them.
    let expected: [Float] = [0.20110558, -0.81024474, 0.31897253, 0.06006357]
    let found = (0..<4).map { Philox(seed: 7, stream: 1).normal(at: $0) }
    #expect(zip(found, expected).allSatisfy { abs($0 - $1) < 1e-6 })
    #expect(abs(Philox(seed: 7).normal(at: 0) + 0.30484697) < 1e-6)
    #expect(abs(Philox(seed: 7, stream: 3).normal(at: 1) - 0.42678168) < 1e-6)
  }

  @Test func lessStrengthBeginsLaterAndTakesFewerSteps() throws {
    let whole = try Self.flow(8)
    #expect(try Self.flow(8, strength: 1) == whole)
    let half = try Self.flow(8, strength: 0.5)
    #expect(half.steps == 4 && half.levels == Array(whole.levels[4...]))
    let little = try Self.flow(2, strength: 0.1)
    #expect(little.steps == 1 && little.levels[0].noise < 0.3 && little.levels[0].noise > 0.1)
    // What f32 makes of 0.3 is a little more than it.
    for tenth in 1...10 {
      let strength = Float(tenth) / 10
      #expect(try Self.flow(50, strength: strength).steps == 5 * tenth)
    }
  }

  @Test func numbersWithoutASequenceOfLevelsAreErrors() throws {
    let wrong: [(steps: Int, shift: Float, strength: Float)] = [
      (0, 3, 1), (1001, 3, 1),
      (4, 3, 0), (4, 3, .nan), (4, 3, 1.1), (4, 3, Float(1e-60 as Double)),
      (4, 3, .leastNonzeroMagnitude),
      (4, 3, -1),
      // Their levels are equal in f32.
      (1000, 1e12, 1), (50, .leastNonzeroMagnitude, 0.001),
    ]
    for numbers in wrong {
      #expect(throws: GenerationError.self, "\(numbers)") {
        try Self.flow(numbers.steps, shift: numbers.shift, strength: numbers.strength)
      }
    }
    // Whatever a package and a request may ask for has levels.
    for shift in [0.01, 1, 3, 100] as [Float] {
      for strength in [0.001, 0.0317, 0.5, 1] as [Float] {
        for steps in [1, 7, 50, 1000] {
          let levels = try Self.flow(steps, shift: shift, strength: strength).levels
          #expect(levels[0].noise > 0 && levels.last == .clean)
        }
      }
    }
  }

  /// `consistency_sample` of the training code with the network
  /// `0.5 x (1 - sigma) + 0.25 sigma`, for seeds 7 and 8.
  @Test(arguments: [
    (1, [[0.25, 0.25, 0.25, 0.25], [0.25, 0.25, 0.25, 0.25]]),
    (
      2,
      [
        [0.21416615, 0.11935206, 0.22521618, 0.20094346],
        [0.20603441, 0.21857889, 0.39871058, 0.31239974],
      ]
    ),
    (
      4,
      [
        [0.16221608, 0.17628904, 0.13073404, 0.25902751],
        [0.20237842, 0.14495012, 0.15121445, 0.11691743],
      ]
    ),
  ])
  func consistencySamplingIsThatOfTheTrainingCode(
    _ test: (steps: Int, expected: [[Float]])
  ) throws {
    let levels = try Self.flow(test.steps).levels
    for (seed, expected) in zip([7, 8] as [UInt64], test.expected) {
      for kind in [Prediction.sample, .velocity] {
        var x = (0..<4).map { Philox(seed: seed).normal(at: $0) }
        for step in 0..<test.steps {
          let sigma = levels[step].noise
          let sample = x.map { 0.5 * $0 * (1 - sigma) + 0.25 * sigma }
          let output = kind == .sample ? sample : zip(x, sample).map { ($0 - $1) / sigma }
          let clean = zip(output, x).map { kind.denoised($0, x: $1, at: levels[step]) }
          SamplerStep(from: levels[step], to: levels[step + 1]).firstOrder(
            &x, denoised: clean, eta: 1, fresh: Philox(seed: seed, stream: UInt32(step + 1)).normal)
        }
        #expect(zip(x, expected).allSatisfy { abs($0 - $1) < 2e-6 }, "\(kind), seed \(seed)")
      }
    }
  }

  private static let stableDiffusion = NoiseProcess.variancePreserving(
    Betas(), Timesteps(.trailing))

  /// A network that knows the picture: whatever the sampler, the process and the number of steps,
  /// the picture comes out.
  @Test(arguments: [NoiseProcess.flow(shift: 3), stableDiffusion])
  func theKnownPictureComesOut(_ process: NoiseProcess) throws {
    let clean: [Float] = [0.5, -2, 3]
    for steps in [1, 2, 5, 20] {
      let levels = try NoiseSchedule(process, steps: steps).levels
      var (first, second) = ([1, 1, -1] as [Float], [1, 1, -1] as [Float])
      var ancestral = first
      for step in 0..<steps {
        let taken = SamplerStep(from: levels[step], to: levels[step + 1])
        taken.firstOrder(&first, denoised: clean, eta: 0, fresh: Philox(seed: 1).normal)
        taken.firstOrder(
          &ancestral, denoised: clean, eta: taken.ancestralEta, fresh: Philox(seed: 1).normal)
        taken.dpmSolver(
          &second, denoised: clean, previous: step == 0 ? nil : (clean, levels[step - 1]))
      }
      #expect(zip(first, clean).allSatisfy { abs($0 - $1) < 1e-5 })
      #expect(zip(second, clean).allSatisfy { abs($0 - $1) < 1e-5 })
      #expect(zip(ancestral, clean).allSatisfy { abs($0 - $1) < 1e-5 })
    }
  }

  /// Euler's method on the flow's own equation `dx/dsigma = (x - x0) / sigma` and DDIM as its paper
  /// writes it, in double precision.
  @Test func theFirstOrderFormIsBothOfThem() throws {
    let (x0, x): (Float, Float) = (0.3, -1.2)
    let flow = try Self.flow(4).levels
    var latents = [x]
    SamplerStep(from: flow[1], to: flow[2]).firstOrder(
      &latents, denoised: [x0], eta: 0, fresh: Philox(seed: 1).normal)
    let (sigma, next) = (Double(flow[1].noise), Double(flow[2].noise))
    #expect(abs(Double(latents[0]) - (Double(x) + (next - sigma) * Double(x - x0) / sigma)) < 1e-6)

    let levels = try NoiseSchedule(Self.stableDiffusion, steps: 4).levels
    latents = [x]
    SamplerStep(from: levels[1], to: levels[2]).firstOrder(
      &latents, denoised: [x0], eta: 0, fresh: Philox(seed: 1).normal)
    let abar = Betas().cumulativeSignals
    let (now, then) = (abar[749], abar[499])
    let noise = (Double(x) - now.squareRoot() * Double(x0)) / (1 - now).squareRoot()
    let expected = then.squareRoot() * Double(x0) + (1 - then).squareRoot() * noise
    #expect(abs(Double(latents[0]) - expected) < 1e-6)
  }

  /// As k-diffusion writes it, for latents that are divided by the signal, in double precision.
  @Test func theAncestralStepIsThatOfOthers() throws {
    let levels = try NoiseSchedule(Self.stableDiffusion, steps: 4).levels
    let (x0, x, fresh): (Double, Double, Philox) = (0.3, -1.2, Philox(seed: 5))
    for index in 0..<3 {
      let step = SamplerStep(from: levels[index], to: levels[index + 1])
      var latents = [Float(x)]
      step.firstOrder(
        &latents, denoised: [Float(x0)], eta: step.ancestralEta, fresh: fresh.normal)
      func sigma(_ level: NoiseLevel) -> Double { Double(level.noise) / Double(level.signal) }
      let (now, next) = (sigma(step.level), sigma(step.next))
      let up = (next * next * (now * now - next * next) / (now * now)).squareRoot()
      let down = (next * next - up * up).squareRoot()
      let scaled = x / Double(step.level.signal)
      let moved =
        scaled + (scaled - x0) / now * (down - now) + up * Double(fresh.normal(at: 0))
      #expect(abs(Double(latents[0]) - moved * Double(step.next.signal)) < 1e-5)
    }
    // From noise alone nothing can be kept.
    let flow = try Self.flow(4).levels
    #expect(SamplerStep(from: flow[0], to: flow[1]).ancestralEta == 1)
  }

  /// Of pictures with a normal distribution the best guess and the true path are known: the second
  /// order stays closer to it than the first.
  @Test(arguments: [NoiseProcess.flow(shift: 1), stableDiffusion])
  func theSecondOrderStaysCloserToThePath(_ process: NoiseProcess) throws {
    let variance: Float = 0.25
    func spread(_ level: NoiseLevel) -> Float {
      level.signal * level.signal * variance + level.noise * level.noise
    }
    func error(_ steps: Int, isSecondOrder: Bool) throws -> Float {
      let levels = try NoiseSchedule(process, steps: steps).levels.dropLast()
      var x: [Float] = [1]
      var previous: (denoised: [Float], level: NoiseLevel)?
      for (level, next) in zip(levels, levels.dropFirst()) {
        let denoised = [level.signal * variance / spread(level) * x[0]]
        let step = SamplerStep(from: level, to: next)
        if isSecondOrder {
          step.dpmSolver(&x, denoised: denoised, previous: previous)
        } else {
          step.firstOrder(&x, denoised: denoised, eta: 0, fresh: Philox(seed: 1).normal)
        }
        previous = (denoised, level)
      }
      return abs(x[0] - (spread(levels.last!) / spread(levels[0])).squareRoot())
    }
    for steps in [10, 20, 40] {
      let first = try error(steps, isSecondOrder: false)
      let second = try error(steps, isSecondOrder: true)
      #expect(second < first / 2, "\(steps): \(first), \(second)")
    }
  }

  /// As diffusers' DDIM and Euler schedulers space them.
  @Test func timestepsAreThoseOfTraining() throws {
    let trailing = try NoiseSchedule(Self.stableDiffusion, steps: 4).levels.dropLast()
    #expect(trailing.map(\.time) == [999, 749, 499, 249])
    #expect(try NoiseSchedule(Self.stableDiffusion, steps: 1).levels[0].time == 999)
    let leading = NoiseProcess.variancePreserving(Betas(), Timesteps(.leading))
    #expect(
      try NoiseSchedule(leading, steps: 4).levels.dropLast().map(\.time) == [751, 501, 251, 1])
    let half = try NoiseSchedule(Self.stableDiffusion, steps: 4, strength: 0.5).levels.dropLast()
    #expect(half.map(\.time) == [499, 249])
    let level = trailing[0]
    // sigma of the last step of training: 14.6146.
    #expect(abs(level.noise / level.signal - 14.6146) < 1e-3)
    #expect(abs(level.signal * level.signal + level.noise * level.noise - 1) < 1e-6)
    #expect(try NoiseSchedule(Self.stableDiffusion, steps: 1000).steps == 1000)
  }

  /// As diffusers' image-to-image pipelines: `min(int(steps * strength), steps)` last steps.
  @Test func changedPicturesTakeTheLastWholeSteps() throws {
    func times(
      _ steps: Int, _ strength: Float, _ spacing: TimestepSpacing = .trailing
    ) throws -> [Float] {
      try NoiseSchedule(
        Self.stableDiffusion, .euler, spacing, steps: steps, strength: strength
      ).levels.dropLast().map(\.time)
    }
    #expect(try times(4, 0.6) == [499, 249])
    #expect(try times(4, 0.99) == [749, 499, 249])
    #expect(try times(4, 0.6, .leading) == [251, 1])
    // Both numbers are a little off in f32.
    #expect(try times(10, 0.3).count == 3 && times(10, 0.7).count == 7)
    #expect(try times(20, 0.75).count == 15 && times(50, 1).count == 50)
    // Less than one step: the last of as many as make it one. SD-Turbo's card has two by 0.5.
    #expect(try times(2, 0.5) == [499] && times(1, 0.5) == [499] && times(1, 0.6) == [499])
    #expect(try times(4, 0.2) == [199] && times(1, 0.001) == [0])
  }

  /// As diffusers' LCM image-to-image pipeline: of half of the distilled steps, four.
  @Test func distilledStepsOfAChangedPictureLieCloserTogether() throws {
    func times(_ steps: Int, _ strength: Float) throws -> [Float] {
      try NoiseSchedule(
        Self.stableDiffusion, .consistency, .lcm, steps: steps, strength: strength
      ).levels.dropLast().map(\.time)
    }
    #expect(try times(4, 1) == [999, 759, 499, 259])
    #expect(try times(4, 0.5) == [499, 379, 259, 139])
    #expect(try times(3, 0.7) == [699, 479, 239])
    // There are not as many.
    #expect(try times(4, 0.05) == [39, 19])
    #expect(try times(4, 0.001) == [19])
    #expect(try times(60, 1).count == 50)
  }

  @Test func whatAProcessLacksIsRefusedByName() throws {
    let flow = NoiseProcess.flow(shift: 3)
    for spacing in TimestepSpacing.allCases {
      #expect(throws: GenerationError.unknownSpacing(spacing, known: [])) {
        try NoiseSchedule(flow, .euler, spacing, steps: 4)
      }
    }
    #expect(
      throws: GenerationError.unknownSampler(
        .trajectoryConsistency,
        known: [.euler, .eulerAncestral, .ddim, .consistency, .dpmSolver])
    ) { try NoiseSchedule(flow, .trajectoryConsistency, steps: 4) }
    #expect(try NoiseSchedule(flow, .ddim, steps: 4) == NoiseSchedule(flow, .euler, steps: 4))
  }

  /// Levels fall with every sampler, spacing and number of steps that a request may ask for, and
  /// where they cannot, that is said.
  @Test(arguments: [false, true]) func allRequestsHaveFallingLevels(_ endsInNoise: Bool) throws {
    let process = NoiseProcess.variancePreserving(
      Betas(endInNoise: endsInNoise), Timesteps(.leading))
    for sampler in Sampler.allCases {
      for spacing in TimestepSpacing.allCases {
        for steps in [1, 2, 3, 7, 16, 49, 50] {
          for strength in [0.001, 0.31, 1] as [Float] {
            let schedule = try NoiseSchedule(
              process, sampler, spacing, steps: steps, strength: strength)
            let latents = try finalLatents(schedule)
            #expect(
              latents.allSatisfy { abs($0 - 0.5) < 0.15 },
              "\(sampler), \(spacing), \(steps), \(strength): \(latents)")
          }
        }
      }
    }
  }

  /// Of a network that knows the picture, which is 0.5 everywhere.
  private func finalLatents(_ schedule: NoiseSchedule) throws -> [Float] {
    let first = schedule.levels[0]
    var x = [1, -1].map { first.signal * 0.5 + first.noise * $0 }
    for step in 0..<schedule.steps {
      schedule.take(
        step, &x, denoised: [0.5, 0.5], previous: [0.5, 0.5],
        fresh: Philox(seed: 1, stream: UInt32(step + 1)).normal)
    }
    return x
  }

  @Test func everyPredictionIsOfTheSamePicture() throws {
    let levels = try NoiseSchedule(Self.stableDiffusion, steps: 3).levels.prefix(3)
    let (x0, noise): (Float, Float) = (0.4, -0.7)
    for level in levels {
      let x = level.signal * x0 + level.noise * noise
      let outputs: [(Prediction, Float)] = [
        (.sample, x0), (.noise, noise), (.rotation, level.signal * noise - level.noise * x0),
      ]
      for (kind, output) in outputs {
        #expect(abs(kind.denoised(output, x: x, at: level) - x0) < 1e-4, "\(kind)")
      }
    }
    let level = try Self.flow(3).levels[1]
    let x = level.signal * x0 + level.noise * noise
    #expect(abs(Prediction.velocity.denoised(noise - x0, x: x, at: level) - x0) < 1e-6)
  }
}
