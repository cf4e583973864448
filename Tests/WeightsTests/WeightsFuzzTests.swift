import TensorTypes
import Testing

@testable import Weights

/// Changes bytes at random: flipped bits, cuts, repeated and removed parts, other numbers.
struct Mutator {
  var random: SplitMix64

  private static let numbers = [
    "0", "1", "-1", "64", "127", "4294967296", "9223372036854775807", "9223372036854775808",
    "18446744073709551616", "1e308", "1e999", "0.5", "99999999999999999999999999", "00", "-0",
  ]
  private static let pieces = [
    "\"", "\\", "{", "}", "[", "]", ",", ":", "null", "\\ud800", "\"dtype\"", "__metadata__", "U8",
    "F64", "\u{0}", "é", "{\"", "\"files\"",
  ]

  mutating func mutate(_ bytes: inout [UInt8]) {
    for _ in 0..<Int.random(in: 1...4, using: &random) where !bytes.isEmpty {
      let position = Int.random(in: 0..<bytes.count, using: &random)
      let end = min(bytes.count, position + Int.random(in: 0...20, using: &random))
      switch Int.random(in: 0..<8, using: &random) {
      case 0: bytes[position] ^= 1 << UInt8.random(in: 0..<8, using: &random)
      case 1: bytes[position] = UInt8.random(in: 0...255, using: &random)
      case 2: bytes.removeSubrange(position..<end)
      case 3: bytes.insert(contentsOf: Array(bytes[position..<end]), at: position)
      case 4 where Int.random(in: 0..<4, using: &random) == 0: bytes.removeSubrange(position...)
      case 5: insert(Self.pieces, at: position, into: &bytes)
      default: replaceNumber(near: position, in: &bytes)
      }
    }
  }

  private mutating func insert(_ words: [String], at position: Int, into bytes: inout [UInt8]) {
    bytes.insert(contentsOf: Array(words.randomElement(using: &random)!.utf8), at: position)
  }

  private mutating func replaceNumber(near position: Int, in bytes: inout [UInt8]) {
    guard let first = bytes[position...].firstIndex(where: { 0x30...0x39 ~= $0 }) else { return }
    let end = bytes[first...].firstIndex { !(0x30...0x39 ~= $0) } ?? bytes.count
    bytes.removeSubrange(first..<end)
    insert(Self.numbers, at: first, into: &bytes)
  }
}

/// Damaged files are read or refused with a typed error, and never bring the process down. A
/// failure is replayed by its seed.
@Suite struct WeightsFuzzTests {
  @Test(arguments: UInt64(0)..<10) func safetensors(seed: UInt64) throws {
    var mutator = Mutator(random: SplitMix64(state: seed))
    let matrix = Quantization(rows: 3, columns: 8, seed: 1)
    let valid = SafetensorsWriter.bytes(
      matrix.int8Tensors("w") + matrix.int4Tensors("v", group: 32)
        + [matrix.plainTensor("p", type: .bfloat16)],
      metadata: ["a": "b"])
    let headerBytes = 8 + Int(valid[0]) + Int(valid[1]) << 8
    var refused = 0
    for _ in 0..<200 {
      // Half of the cases keep the length sound, so that the damage reaches the JSON.
      var bytes = valid
      if Bool.random(using: &mutator.random) {
        var header = Array(valid[8..<headerBytes])
        mutator.mutate(&header)
        bytes = littleEndianBytes([UInt64(header.count)]) + header + valid[headerBytes...]
      } else {
        mutator.mutate(&bytes)
      }
      let file: SafetensorsFile
      do throws(SafetensorsError) { file = try parse(bytes) } catch {
        refused += 1
        #expect(!error.description.isEmpty)
        continue
      }
      let total = file.names.reduce(0) { $0 + file.tensor(named: $1)!.bytes.count }
      try #require(total <= bytes.count, "seed \(seed)")
      readWeights(of: file)
    }
    #expect(refused > 50, "seed \(seed)")
  }

  private func readWeights(of file: SafetensorsFile) {
    for name in ["w", "v", "p"] {
      do throws(WeightError) {
        let weight = try WeightStore(files: [file]).weight(named: name, logicalShape: [3, 8])
        let isFinite = weight.dequantized().allSatisfy { $0.isFinite }
        #expect(isFinite)
      } catch {
        #expect(!error.description.isEmpty)
      }
    }
  }

  @Test(arguments: UInt64(0)..<10) func peels(seed: UInt64) throws {
    var mutator = Mutator(random: SplitMix64(state: seed))
    let stem = "lora_unet_text_kv"
    let tensors =
      PeelFixture.peft(.float16)
      + PeelFixture.pair("\(stem).lora_down.weight", "\(stem).lora_up.weight")
      + [PeelFixture.tensor("\(stem).alpha", [], [4])]
    let valid = SafetensorsWriter.bytes(
      tensors, metadata: ["lora_alpha": "1", "lora_adapter_metadata": #"{"unet.lora_alpha": 2}"#])
    let headerBytes = 8 + Int(valid[0]) + Int(valid[1]) << 8
    var refused = 0
    for _ in 0..<100 {
      var header = Array(valid[8..<headerBytes])
      var data = Array(valid[headerBytes...])
      if Bool.random(using: &mutator.random) {
        mutator.mutate(&header)
      } else {
        // Numbers only: the header stays sound.
        for _ in 0..<4 {
          data[Int.random(in: 0..<data.count, using: &mutator.random)] = .random(
            in: 0...255, using: &mutator.random)
        }
      }
      let bytes = littleEndianBytes([UInt64(header.count)]) + header + data
      do throws(PeelError) {
        for update in try PeelFile(contents: bytes, path: "p").updates {
          #expect(update.down.count == update.rank * update.inWidth)
          #expect(update.up.count == update.rank * update.outWidth)
          let isFinite = (update.down + update.up).allSatisfy { $0.isFinite }
          #expect(isFinite, "seed \(seed)")
        }
      } catch {
        refused += 1
        #expect(!error.description.isEmpty)
      }
    }
    #expect(refused > 20, "seed \(seed)")
  }

  @Test(arguments: UInt64(0)..<10) func manifest(seed: UInt64) throws {
    var mutator = Mutator(random: SplitMix64(state: seed))
    let valid = Array(try PackageFixture().manifestText.utf8)
    var refused = 0
    for _ in 0..<100 {
      var bytes = valid
      mutator.mutate(&bytes)
      do throws(ModelPackageError) {
        let file = MappedFile(contents: bytes, path: "model.json")
        let (manifest, configuration) = try ModelPackage.manifest(in: file)
        #expect(manifest.problem == nil && !configuration.isEmpty)
      } catch {
        refused += 1
        #expect(!error.description.isEmpty)
      }
    }
    #expect(refused > 20, "seed \(seed)")
  }
}
