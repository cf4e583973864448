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

  @Test func scheduleFallsFromOneToZero() throws {
    for steps in [1, 2, 4, 50] {
      let schedule = try NoiseSchedule(steps: steps, shift: 3)
      #expect(schedule.sigmas.count == steps + 1)
      #expect(schedule.sigmas.first == 1 && schedule.sigmas.last == 0)
      #expect(zip(schedule.sigmas, schedule.sigmas.dropFirst()).allSatisfy { $0 > $1 })
    }
    #expect(abs(try NoiseSchedule(steps: 2, shift: 3).sigmas[1] - 0.75) < 1e-6)
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
    let whole = try NoiseSchedule(steps: 8, shift: 3)
    #expect(try NoiseSchedule(steps: 8, shift: 3, strength: 1) == whole)
    let half = try NoiseSchedule(steps: 8, shift: 3, strength: 0.5)
    #expect(half.steps == 4 && half.sigmas == Array(whole.sigmas[4...]))
    let little = try NoiseSchedule(steps: 2, shift: 3, strength: 0.1)
    #expect(little.steps == 1 && little.sigmas[0] < 0.3 && little.sigmas[0] > 0.1)
    // What f32 makes of 0.3 is a little more than it.
    for tenth in 1...10 {
      let strength = Float(tenth) / 10
      #expect(try NoiseSchedule(steps: 50, shift: 3, strength: strength).steps == 5 * tenth)
    }
  }

  @Test func numbersWithoutASequenceOfLevelsAreErrors() throws {
    let wrong: [(steps: Int, shift: Float, strength: Float)] = [
      (0, 3, 1), (1001, 3, 1), (4, 0, 1), (4, .nan, 1), (4, .infinity, 1), (4, -1, 1),
      (4, 3, 0), (4, 3, .nan), (4, 3, 1.1), (4, 3, Float(1e-60 as Double)),
      (4, 3, .leastNonzeroMagnitude),
      (4, 3, -1),
      // Their levels are equal in f32.
      (1000, 1e12, 1), (50, .leastNonzeroMagnitude, 0.001),
    ]
    for numbers in wrong {
      #expect(throws: GenerationError.self, "\(numbers)") {
        try NoiseSchedule(steps: numbers.steps, shift: numbers.shift, strength: numbers.strength)
      }
    }
    // Whatever a package and a request may ask for has levels.
    for shift in [0.01, 1, 3, 100] as [Float] {
      for strength in [0.001, 0.0317, 0.5, 1] as [Float] {
        for steps in [1, 7, 50, 1000] {
          let sigmas = try NoiseSchedule(steps: steps, shift: shift, strength: strength).sigmas
          #expect(sigmas[0] > 0 && sigmas.last == 0)
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
    let schedule = try NoiseSchedule(steps: test.steps, shift: 3)
    for (seed, expected) in zip([7, 8] as [UInt64], test.expected) {
      for kind in [Prediction.sample, .velocity] {
        var x = (0..<4).map { Philox(seed: seed).normal(at: $0) }
        for step in 0..<schedule.steps {
          let sigma = schedule.sigmas[step]
          let sample = x.map { 0.5 * $0 * (1 - sigma) + 0.25 * sigma }
          let output = kind == .sample ? sample : zip(x, sample).map { ($0 - $1) / sigma }
          var clean: [Float] = [0, 0, 0, 0]
          clean.withUnsafeMutableBufferPointer { clean in
            x.withUnsafeBufferPointer { x in
              output.withUnsafeBufferPointer {
                ConsistencySampler.clean(
                  into: clean, latents: x, prediction: $0, sigma: sigma, kind: kind)
              }
            }
          }
          x.withUnsafeMutableBufferPointer { x in
            clean.withUnsafeBufferPointer {
              ConsistencySampler.noised(
                into: x, clean: $0, noise: Philox(seed: seed, stream: UInt32(step + 1)),
                sigma: schedule.sigmas[step + 1])
            }
          }
        }
        #expect(zip(x, expected).allSatisfy { abs($0 - $1) < 2e-6 }, "\(kind), seed \(seed)")
      }
    }
  }

  /// On a straight path one step is exact, and so are many.
  @Test func eulerFollowsAStraightPathExactly() throws {
    let clean: [Float] = [0.5, -2, 3]
    let noise: [Float] = [1, 1, -1]
    for steps in [1, 4] {
      var x = noise
      let schedule = try NoiseSchedule(steps: steps, shift: 3)
      let velocity = zip(noise, clean).map { $0 - $1 }
      for step in 0..<steps {
        x.withUnsafeMutableBufferPointer { x in
          velocity.withUnsafeBufferPointer {
            EulerSampler.step(
              x, velocity: $0, sigma: schedule.sigmas[step], nextSigma: schedule.sigmas[step + 1])
          }
        }
      }
      #expect(zip(x, clean).allSatisfy { abs($0 - $1) < 1e-5 })
    }
  }

  @Test func guidanceOfEitherPredictionIsTheSame() {
    let latents: [Float] = [1, 2]
    let (conditional, unconditional): ([Float], [Float]) = ([0.2, 0.4], [-0.5, 1])
    let sigma: Float = 0.7
    func velocity(_ a: [Float], _ b: [Float], _ prediction: Prediction) -> [Float] {
      var result: [Float] = [0, 0]
      result.withUnsafeMutableBufferPointer { result in
        latents.withUnsafeBufferPointer { latents in
          a.withUnsafeBufferPointer { a in
            b.withUnsafeBufferPointer { b in
              Guidance.velocity(
                into: result, latents: latents, conditional: a, unconditional: b, scale: 2.5,
                sigma: sigma, prediction: prediction)
            }
          }
        }
      }
      return result
    }
    let fromSample = velocity(conditional, unconditional, .sample)
    let asVelocity = { (x: [Float]) in zip(latents, x).map { ($0 - $1) / sigma } }
    let fromVelocity = velocity(
      asVelocity(conditional), asVelocity(unconditional), .velocity)
    #expect(zip(fromSample, fromVelocity).allSatisfy { abs($0 - $1) < 1e-5 })
  }
}
