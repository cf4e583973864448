import BananaAPI
import BananaTesting

// What is installed, drawn with and kept.
extension HostileClient {
  /// A name of this process and lane.
  private func peelName(_ lane: Int, _ which: Int = 0) -> String {
    "h\(plan.index)-\(lane)-\(which)"
  }

  private func install(_ file: [UInt8], as name: String) async {
    await ask(
      HostileBodies.head(
        "POST", "\(Route.peels)?name=\(name)", type: "application/octet-stream",
        length: file.count) + file)
  }

  private func remove(_ name: String) async {
    await ask(RawConnection.request("DELETE", Route.peel(name) + "?timeout_seconds=0"))
  }

  func largePeels(lane: Int, _ random: inout SeededGenerator) async throws {
    switch lane % 3 {
    case 0:
      // Opened, all four of them, before it is seen what is wrong.
      let names = (0..<4).map { peelName(lane, $0) }
      for name in names { await install(files.largePeel, as: name) }
      let list = names.map { "\"\($0)\"" }.joined(separator: ", ")
      for _ in 0..<50 where Clock.now < plan.end {
        let wrong = ["\"size\": \"300\"", "\"style\": \"none\"", "\"model\": \"none\""]
          .randomElement(using: &random)!
        await ask(
          HostileBodies.generation(#"{"prompt": "a", \#(wrong), "peels": [\#(list)]}"#))
      }
    case 1: await install(files.poisonedPeel, as: peelName(lane))
    default:
      await install(files.largePeel, as: peelName(lane))
      await remove(peelName(lane))
    }
  }

  func wordyPeels(lane: Int, _ random: inout SeededGenerator) async throws {
    let name = peelName(lane, Int.random(in: 0..<3, using: &random))
    switch Int.random(in: 0..<7, using: &random) {
    case 0, 1: await install(files.wordyPeel, as: name)
    case 2: await install(files.tablePeel, as: name)
    case 3: await install(files.nestedPeel, as: name)
    case 4: await ask(RawConnection.request("GET", Route.peels))
    case 5: await ask(RawConnection.request("GET", Route.peel(name)))
    default: await remove(name)
    }
  }

  /// A large image to begin with, kept when its client leaves.
  func waitingEdit(_ random: inout SeededGenerator) async throws {
    var fields = ["prompt": "an edit that waits", "size": "512x512", "steps": "8", "store": "true"]
    fields["n"] = "\(Int.random(in: 1...10, using: &random))"
    let request = HostileBodies.form([("image", files.bomb), ("mask", files.bombMask)], fields)
    if Bool.random(using: &random) { return await ask(request) }
    let connection = try connect()
    try await connection.send(request)
    await pause(0.5)
    connection.hangUp()
    count("left waiting")
  }

  /// Pictures that are kept, more than the store holds, and taken again and again.
  func storedAnswer(_ random: inout SeededGenerator) async throws {
    let size = Bool.random(using: &random) ? "512x512" : "256x256"
    await ask(
      HostileBodies.generation(
        #"{"prompt": "a hoard", "size": "\#(size)", "steps": 1, "n": 10, "store": true}"#))
    await ask(RawConnection.request("GET", Route.jobs))
  }
}
