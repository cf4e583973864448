import TensorTypes
import Testing

@testable import Weights

/// The algebras of LyCORIS: what is read, and what is said of parts that do not meet. That they are
/// computed as their writers do is in `PeelGoldenTests`.
@Suite struct PeelFormsTests {
  private static let stem = "lora_unet_x"

  private func tensor(_ part: String, _ shape: [Int], from first: Float = 1)
    -> SafetensorsWriter.Tensor
  {
    PeelFixture.tensor(
      "\(Self.stem).\(part)", shape, (0..<shape.reduce(1, *)).map { first + Float($0) })
  }

  private func update(_ tensors: SafetensorsWriter.Tensor...) throws -> PeelFile.Update {
    let updates = try PeelFixture.read(tensors).updates
    try #require(updates.count == 1)
    return updates[0]
  }

  /// `scale * up down`, `[out, columns]`.
  private func product(_ update: PeelFile.Update) -> [Float] {
    let (up, down) = (update.up, update.down)
    return (0..<update.outWidth * update.inWidth).map { index in
      let (row, column) = index.quotientAndRemainder(dividingBy: update.inWidth)
      return (0..<update.rank).reduce(0) {
        $0 + up[row * update.rank + $1] * down[$1 * update.inWidth + column]
      }
    }
  }

  @Test func aHadamardProductIsOfTheProductOfTheRanks() throws {
    let update = try update(
      tensor("hada_w1_a", [2, 2]), tensor("hada_w1_b", [2, 3]), tensor("hada_w2_a", [2, 1]),
      tensor("hada_w2_b", [1, 3]), tensor("alpha", [], from: 4))
    #expect(update.rank == 2 && update.outWidth == 2 && update.inWidth == 3)
    // [[1 2] [3 4]] [[1 2 3] [4 5 6]] is [[9 12 15] [19 26 33]]; the other [[1 2 3] [2 4 6]].
    #expect(product(update) == [9, 24, 45, 38, 104, 198].map { 4 / 2 * $0 })
  }

  /// Alpha counts only where a factor has a rank.
  @Test func aKroneckerProductIsOfTheSmallestRank() throws {
    let full = try update(
      tensor("lokr_w1", [1, 2]), tensor("lokr_w2", [2, 1], from: 3),
      tensor("alpha", [], from: 40))
    #expect(full.rank == 1 && product(full) == [3, 6, 4, 8])
    let low = try update(
      tensor("lokr_w1", [1, 2]), tensor("lokr_w2_a", [2, 1], from: 3), tensor("lokr_w2_b", [1, 1]),
      tensor("alpha", [1], from: 5))
    #expect(product(low) == [15, 30, 20, 40])
  }

  @Test func theThirdFactorOfAConvolutionIsInItsMiddle() throws {
    let update = try update(
      tensor("lora_up.weight", [2, 1, 1, 1]), tensor("lora_mid.weight", [1, 1, 1, 3]),
      tensor("lora_down.weight", [1, 2, 1, 1]))
    #expect(update.kernel == [1, 3] && update.inWidth == 6 && update.shape == [2, 2, 1, 3])
    #expect(product(update) == [1, 2, 3, 2, 4, 6, 2, 4, 6, 4, 8, 12])
    #expect(update.fits(outputs: 2, inputs: 2, kernel: [1, 3]))
    #expect(!update.fits(outputs: 2, inputs: 2, kernel: [3, 1]))
    #expect(!update.fits(outputs: 2, inputs: 6, kernel: nil))
  }

  @Test func scalesAndShiftsAreRows() throws {
    let output = try update(tensor("weight", [1, 3, 1, 1]), tensor("on_input", [], from: 0))
    #expect(output.outputScale == [1, 2, 3] && output.inputScale == nil && output.rank == 0)
    let input = try update(tensor("weight", [3]), tensor("on_input", []))
    #expect(input.inputScale == [1, 2, 3] && input.fits(outputs: 7, inputs: 3, kernel: nil))
    let shift = try update(tensor("diff_b", [3]))
    #expect(shift.shift == [1, 2, 3] && shift.fits(outputs: 3, inputs: 5, kernel: [3, 3]))
    #expect(!shift.fits(outputs: 5, inputs: 3, kernel: nil))
  }

  @Test func lengthsAreOfRows() throws {
    let peft = try PeelFixture.read(
      PeelFixture.peft()
        + [
          PeelFixture.tensor(
            "base_model.model.denoiser.layers.0.qkv.lora_magnitude_vector", [1, 3], [1, 2, 3])
        ], metadata: ["lora_adapter_metadata": #"{"use_dora": true}"#])
    #expect(peft.updates[0].magnitudes == [1, 2, 3])
    #expect {
      _ = try update(
        tensor("lora_up.weight", [3, 1]), tensor("lora_down.weight", [1, 3]),
        tensor("dora_scale", [1, 3]))
    } throws: { "\($0)".contains("DoRA over inputs") }
  }

  /// What would be wider than what is applied says so, with the number.
  @Test func wideFormsAreRefusedByName() throws {
    #expect {
      _ = try update(
        tensor("hada_w1_a", [20, 17]), tensor("hada_w1_b", [17, 20]),
        tensor("hada_w2_a", [20, 17]), tensor("hada_w2_b", [17, 20]))
    } throws: { "\($0)".contains("LoHa of rank 17") && "\($0)".contains("289") }
    #expect {
      _ = try update(tensor("lokr_w1", [16, 16]), tensor("lokr_w2", [17, 17]))
    } throws: { "\($0)".contains("LoKr") && "\($0)".contains("272") }
  }

  @Test func partsThatDoNotMeetAreRefused() {
    let cases: [(parts: [(String, [Int])], reason: String)] = [
      ([("hada_w1_a", [2, 2]), ("hada_w1_b", [2, 3]), ("hada_w2_a", [2, 2])], "hada_w2_b"),
      (
        [
          ("hada_w1_a", [2, 2]), ("hada_w1_b", [2, 3]), ("hada_w2_a", [2, 2]),
          ("hada_w2_b", [2, 4]),
        ], "hada_w2_a"
      ),
      ([("lokr_w1", [2, 2])], "lokr_w2"), ([("lokr_w1", [2, 2, 3, 3])], "lokr_w2"),
      ([("lokr_w1", [2, 2, 3, 3]), ("lokr_w2", [2, 2])], "lokr_w1"),
      ([("lora_mid.weight", [2, 2, 3, 3])], "lacks down"),
      (
        [
          ("lora_mid.weight", [2, 2, 3, 3]), ("lora_down.weight", [3, 4]),
          ("lora_up.weight", [4, 2]),
        ], "ranks 3 and 2"
      ),
      (
        [
          ("lora_mid.weight", [2, 2]), ("lora_down.weight", [2, 4]), ("lora_up.weight", [4, 2]),
        ], "lora_mid"
      ),
      ([("weight", [3])], "lora_unet_x.weight"), ([("on_input", [])], "lacks weight"),
      ([("weight", [2, 3]), ("on_input", [])], "shape [2, 3]"), ([("alpha", [])], "lacks down"),
      ([("dora_scale", [3, 1])], "lacks down"), ([("diff_b", [2, 2])], "shape [2, 2]"),
      ([("lora_down.weight", [1, 1 << 21]), ("lora_up.weight", [1, 1])], "shape"),
    ]
    for (parts, reason) in cases {
      #expect(
        performing: {
          _ = try PeelFixture.read(parts.map { tensor($0.0, $0.1) })
        }, throws: { "\($0)".contains(reason) })
    }
  }

  @Test func strangersAreCountedAndTheFirstAreNamed() {
    let strangers = (1...5).map { PeelFixture.tensor("net.\($0).gamma", [1], [0]) }
    #expect {
      _ = try PeelFixture.read(PeelFixture.peft() + strangers)
    } throws: { error in
      let text = "\(error)"
      return text.contains("5 of its 7 tensors") && text.contains("net.3.gamma")
        && !text.contains("net.4.gamma")
    }
  }

  /// Words of a bundle are left out, and that is said.
  @Test func bundledEmbeddingsAreLeftOut() throws {
    let peel = try PeelFixture.read(
      PeelFixture.peft()
        + [PeelFixture.tensor("bundle_emb.word.string_to_param.*", [1, 4], [1, 2, 3, 4])])
    #expect(peel.updates.count == 1)
    #expect(peel.warnings.contains { $0.contains("embeddings") && $0.contains("bundle_emb.word") })
  }
}
