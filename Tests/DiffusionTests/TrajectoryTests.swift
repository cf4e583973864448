import Foundation
import Models
import Testing
import Weights

@testable import Diffusion

/// Whole trajectories against those of diffusers' schedulers, with the network of closed form and
/// the noise of `training/banana_training/sampling_goldens.py`.
@Suite struct TrajectoryTests {
  private static let file = try! SafetensorsFile(
    path: Goldens.root.appending(path: "Tests/Fixtures/goldens/sampling/goldens.safetensors").path)
  private static let names = file.names.filter { $0.hasSuffix(".x") }.map { "\($0.dropLast(2))" }
    .sorted()
  private static let samplers: [String: Sampler] = [
    "euler": .euler, "euler_a": .eulerAncestral, "ddim": .ddim, "lcm": .consistency,
    "tcd": .trajectoryConsistency, "dpmpp_2m": .dpmSolver,
  ]
  private static let space = LatentSpace(
    channels: 4, scale: 8, mean: [0, 0, 0, 0], standardDeviation: [1, 1, 1, 1])
  private static let places = 6

  private static func floats(_ name: String) throws -> [Float] {
    Array(try #require(file.tensor(named: name)).bytes.bindMemory(to: Float.self))
  }

  /// Where element `[channel, y, x]` lies in `[y, x, channel]`.
  private static func index(_ element: Int) -> Int {
    element % places * space.channels + element / places
  }

  private static func network(_ x: [Float], time: Float) -> [Float] {
    var output = x
    for element in x.indices {
      let neighbour = x[index((element + 5) % x.count)]
      output[index(element)] =
        0.6 * x[index(element)] + 0.3 * neighbour + 0.2 * sin(Float(element)) * (time / 1000)
    }
    return output
  }

  @Test func allCasesAreThere() {
    #expect(Self.names.count == 142)
  }

  @Test(arguments: names) func trajectoriesAreThoseOfDiffusers(_ name: String) throws {
    let parts = name.split(separator: ".").map(String.init)
    let process = NoiseProcess.variancePreserving(
      Betas(endInNoise: parts[3] == "zero"),
      Timesteps(.leading, ddimEndsClean: parts[3] != "low"))
    let prediction = try #require(Prediction(rawValue: parts[2]))
    let spacing: TimestepSpacing = try #require(TimestepSpacing(rawValue: parts[1]))
    let steps = try #require(Int(parts[4]))
    let schedule = try NoiseSchedule(
      process, try #require(Self.samplers[parts[0]]), spacing, steps: steps)
    let (expected, times) = (try Self.floats("\(name).x"), try Self.floats("\(name).time"))
    #expect(schedule.steps == steps && times.count == steps)
    for (level, time) in zip(schedule.levels, times) {
      #expect(abs(level.time - time) < 2e-3, "\(level.time), \(time)")
    }
    // diffusers' Euler holds latents over their signal, 4096 times as large where there is none,
    // and loses as many of an f32's bits.
    let tolerance: Float = parts[0].hasPrefix("euler") && parts[3] == "zero" ? 5e-4 : 1e-5
    let count = Self.space.channels * Self.places
    func noise(_ step: Int) -> PictureNoise {
      PictureNoise(seed: 7, step: step, count: count, Self.space)
    }
    var x = (0..<count).map { schedule.initialNoise * noise(0).normal(at: $0) }
    var previous: [Float] = []
    for step in 0...steps {
      for element in 0..<count {
        let (found, wanted) = (x[Self.index(element)], expected[step * count + element])
        #expect(
          abs(found - wanted) < tolerance * max(1, abs(wanted)),
          "step \(step): \(found), \(wanted)")
      }
      guard step < steps else { break }
      let level = schedule.levels[step]
      let denoised = zip(Self.network(x, time: level.time), x).map {
        prediction.denoised($0, x: $1, at: level)
      }
      schedule.take(step, &x, denoised: denoised, previous: previous, fresh: noise(step + 1).normal)
      previous = denoised
    }
  }
}
