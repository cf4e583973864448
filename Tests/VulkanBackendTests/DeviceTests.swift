import Execution
import Foundation
import Graph
import TensorTypes
import Testing

@testable import VulkanBackend

/// The device layer alone. Without a device on the machine, only what needs none is tested.
@Suite struct DeviceTests {
  private static let instance = try? VulkanInstance(validates: true)

  private static func device(cacheFolder: String? = nil) throws -> VulkanDevice? {
    guard let instance, let facts = instance.devices.first(where: { $0.lack == nil }) else {
      return nil
    }
    return try VulkanDevice(facts, of: instance, cacheFolder: cacheFolder)
  }

  @Test func everyShaderIsEmbedded() {
    for shader in ShaderCode.allCases {
      // SPIR-V begins with its magic number.
      #expect(shader.code.loadUnaligned(as: UInt32.self) == 0x0723_0203, "\(shader)")
      #expect(shader.code.count.isMultiple(of: 4))
      #expect(Int(bitPattern: shader.code.baseAddress).isMultiple(of: 4))
    }
  }

  @Test func devicesSayWhatTheyAre() throws {
    guard let instance = Self.instance else { return }
    for (index, facts) in instance.devices.enumerated() {
      #expect(facts.index == index)
      #expect(!facts.name.isEmpty && !facts.version.isEmpty)
      guard facts.lack == nil else { continue }
      #expect(facts.bufferRangeBytes >= 1 << 27)
      #expect(facts.heapBytes > 0 && facts.cacheKey.count == 32)
    }
  }

  /// Slices never overlap, start where devices want, and give everything back.
  @Test func slicesOfAHeapDoNotOverlap() throws {
    guard let device = try Self.device() else { return }
    var random = SystemRandomNumberGenerator()
    let heap = device.memory
    var slices: [DeviceSlice] = []
    for round in 0..<300 {
      if round % 3 == 2, !slices.isEmpty {
        slices.remove(at: Int.random(in: slices.indices, using: &random))
        continue
      }
      let byteCount =
        round % 50 == 0 ? DeviceHeap.blockBytes : Int.random(in: 0...200_000, using: &random)
      let slice = try heap.allocate(byteCount)
      #expect(slice.byteCount >= byteCount && slice.offset % DeviceHeap.alignment == 0)
      for other in slices where other.buffer == slice.buffer {
        let isApart =
          other.offset + other.byteCount <= slice.offset
          || slice.offset + slice.byteCount <= other.offset
        #expect(isApart)
      }
      slices.append(slice)
    }
    // Small ones share blocks.
    #expect(heap.blocks.count < slices.count / 4)
    slices.removeAll()
    #expect(heap.blocks.count == 0)
  }

  @Test func aHeapThatIsTooSmallIsATypedError() throws {
    guard let device = try Self.device() else { return }
    #expect(throws: ExecutionError.self) { _ = try device.memory.allocate(1 << 50) }
  }

  @Test func whatIsUploadedArrives() throws {
    guard let device = try Self.device() else { return }
    let slice = try device.memory.allocate(1000)
    try device.upload(1000, to: slice) { $0.copyBytes(from: (0..<1000).map { UInt8($0 % 251) }) }
    let mirror = try device.hostMemory.allocate(1000)
    let recorder = try Recorder(device, sets: 0, buffers: 0)
    let copy = try recorder.record { $0.copy(from: slice, 0, to: mirror, 0, 1000) }
    try device.run([copy], recorder.recording)
    #expect(mirror.mapped?.prefix(1000).elementsEqual((0..<1000).map { UInt8($0 % 251) }) == true)
  }

  @Test func aPipelineCacheIsUsedOnlyWhereItWasMade() throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "vk-\(UUID())").path
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let key: [UInt8] = Array(0..<32)
    let file = PipelineCacheFile(folder: folder, key: key)
    #expect(file.read() == [])
    file.write([1, 2, 3])
    #expect(file.read() == [1, 2, 3])
    // Another driver, under the name of this one.
    let other = PipelineCacheFile(folder: folder, key: Array(1..<33))
    #expect(other.path != file.path)
    try FileManager.default.copyItem(atPath: file.path, toPath: other.path)
    #expect(other.read() == [])
    // Cut off, longer, and with a bit turned.
    let whole = try Data(contentsOf: URL(filePath: file.path))
    var turned = whole
    turned[whole.count - 1] ^= 1
    for damaged in [whole.dropLast(), whole + [0], turned, whole.prefix(20), Data()] {
      try Data(damaged).write(to: URL(filePath: file.path))
      #expect(file.read() == [])
    }
  }

  @Test func pipelinesAreKept() throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "vk-\(UUID())").path
    defer { try? FileManager.default.removeItem(atPath: folder) }
    for _ in 0..<2 {
      guard let device = try Self.device(cacheFolder: folder) else { return }
      _ = try device.pipeline(.scale, [], buffers: 2)
      device.keepPipelines()
      let file = PipelineCacheFile(folder: folder, key: device.facts.cacheKey)
      #expect(!file.read().isEmpty)
    }
    #expect(Self.instance?.complaints.count == 0)
  }

  @Test func onlyStepsThatTouchTheSameBytesWait() {
    func place(_ range: Range<Int>, _ region: Place.Region = .arena) -> Place {
      Place(region, offset: range.lowerBound, byteCount: range.count)
    }
    var hazards = Hazards()
    func waits(_ operands: Operand...) -> Bool {
      hazards.mustWait(Step("test", .scale, operands, [], groups: 1))
    }
    #expect(!waits(.read(place(0..<64)), .write(place(64..<128))))
    // Others' bytes, the same ones of another region, and what is only read twice.
    #expect(!waits(.read(place(0..<64)), .write(place(128..<192))))
    #expect(!waits(.read(place(64..<128, .inputs))))
    // Read after written; the wait covers all that came before.
    #expect(waits(.read(place(100..<110)), .write(place(192..<256))))
    #expect(!waits(.read(place(128..<192))))
    // Written after read, and after written.
    #expect(waits(.write(place(128..<129))))
    #expect(waits(.write(place(128..<129))))
  }
}
