import BananaAPI
import BananaTesting
import Foundation

// What is done to the socket itself.
extension HostileClient {
  private static let formBytes = 15_800_000
  private static let sentBytes = 15_000_000

  /// Sends most of a form, and waits to be cut off.
  func halfForm() async throws {
    let connection = try connect()
    var head = HostileBodies.head(
      "POST", Route.imageEdits, type: "multipart/form-data; boundary=b", length: Self.formBytes)
    head += Array(
      "--b\r\nContent-Disposition: form-data; name=\"image\"; filename=\"a\"\r\n\r\n".utf8)
    try await connection.send(head)
    let chunk = [UInt8](repeating: 0x61, count: 500_000)
    for _ in 0..<Self.sentBytes / chunk.count {
      do { try await connection.send(chunk) } catch { break }
    }
    await awaitEnd(of: connection, "half a form")
  }

  /// A byte now and then, of the head or of the body.
  func drip(_ random: inout SeededGenerator) async throws {
    let connection = try connect()
    var rest = HostileBodies.generation(#"{"prompt": "a drop"}"#)[...]
    switch Int.random(in: 0..<3, using: &random) {
    case 0: break
    case 1:
      let head = HostileBodies.head(
        "POST", Route.imageGenerations, type: "application/json", length: 900_000)
      try await connection.send(head + [UInt8](repeating: 0x20, count: 800_000))
      rest = [UInt8](repeating: 0x20, count: 50_000)[...]
    default:
      let head = HostileBodies.head(
        "POST", Route.peels + "?name=drop\(plan.index)", type: "application/octet-stream",
        length: 60 << 20)
      try await connection.send(head + [UInt8](repeating: 0, count: 1 << 20))
      rest = [UInt8](repeating: 0, count: 50_000)[...]
    }
    while let byte = rest.popFirst(), Clock.now < plan.end {
      do { try await connection.send([byte]) } catch {
        count("dripped until cut off")
        return
      }
      await pause(0.2)
    }
    count("dripped to its end")
  }

  /// Opens connections until there are no more, and holds them.
  func crowd() async throws {
    var held: [RawConnection] = []
    // Of 20,000 descriptors some are left: Dispatch ends a process that has none.
    let most = 16_000 / (plan.harm ?? .everything).lanes
    while held.count < most, Clock.now < plan.end {
      do {
        held.append(try connect())
      } catch {
        count("refused")
        break
      }
      // Half a head, so that it looks like somebody who is about to ask.
      if held.count % 2 == 0 { try? await held[held.count - 1].send("GET /healthz HTTP/1.1\r\nHo") }
    }
    await pause(1.5)
    withExtendedLifetime(held) {}
  }

  func churn(_ random: inout SeededGenerator) async throws {
    for _ in 0..<200 where Clock.now < plan.end {
      let connection = try connect()
      if Bool.random(using: &random) { try await connection.send("GET /healthz HTTP/1.1\r\n\r\n") }
      connection.hangUp()
    }
    count("came and went", 200)
  }

  /// Many requests on a connection, one after another without listening in between.
  func badRequests(_ random: inout SeededGenerator) async throws {
    var flood: [UInt8] = []
    for _ in 0..<100 {
      let bad = BadRequest.all.randomElement(using: &random)!
      if (bad.body?.count ?? 0) > 10_000 { continue }
      var head = "\(bad.method) \(bad.path) HTTP/1.1\r\nHost: localhost\r\n"
      if let body = bad.body {
        head += "Content-Type: application/json\r\nContent-Length: \(body.count)\r\n"
      }
      flood += Array((head + "\r\n").utf8) + (bad.body ?? [])
    }
    try await pipeline(flood)
  }

  func guessJobs(_ random: inout SeededGenerator) async throws {
    if Int.random(in: 0..<4, using: &random) == 0 { return try await beginAndLeave(&random) }
    var flood = ""
    for _ in 0..<200 {
      let id = "job-\(String(Int.random(in: 0..<100_000, using: &random), radix: 36))"
      let method = Bool.random(using: &random) ? "DELETE" : "GET"
      let path = Bool.random(using: &random) ? Route.job(id) : Route.jobResult(id)
      let isResult = path.hasSuffix("result")
      flood += "\(isResult ? "GET" : method) \(path) HTTP/1.1\r\nHost: localhost\r\n\r\n"
    }
    try await pipeline(Array(flood.utf8))
  }

  private func beginAndLeave(_ random: inout SeededGenerator) async throws {
    let connection = try connect()
    try await connection.send(
      HostileBodies.generation(
        #"{"prompt": "never mind", "size": "512x512", "steps": 4, "n": 10, "stream": true}"#))
    await pause(Double.random(in: 0...0.2, using: &random))
    connection.hangUp()
    count("begun and left")
  }

  /// Sends everything at once, with a last request that ends the connection, and counts the answers
  /// by status.
  func pipeline(_ requests: [UInt8]) async throws {
    let connection = try connect()
    let log = self
    _ = try? await within(20) {
      async let sent: Void = connection.send(
        requests + RawConnection.request("GET", Route.health))
      var tail = ""
      while true {
        let bytes = try await connection.receive()
        if bytes.isEmpty { break }
        tail += String(decoding: bytes, as: UTF8.self)
        var isLast = false
        for match in tail.matches(of: #/HTTP/1\.1 (\d+) /#) {
          log.count(String(match.1))
          isLast = true
        }
        // What is not whole yet is looked at again.
        tail = isLast ? String(tail.suffix(16)) : String(tail.suffix(64))
        if Clock.now > log.plan.end { break }
      }
      try await sent
    }
  }

  /// Asks for much and takes nothing, or next to nothing.
  func readSlowly(_ random: inout SeededGenerator) async throws {
    let connection = try connect()
    let request: [UInt8]
    switch Int.random(in: 0..<4, using: &random) {
    case 0:
      let path = [Route.metrics, Route.peels, Route.status, Route.models].randomElement(
        using: &random)!
      request = Array(
        String(repeating: "GET \(path) HTTP/1.1\r\nHost: localhost\r\n\r\n", count: 5000).utf8)
    case 1:
      request = HostileBodies.generation(
        """
        {"prompt": "a slow reader", "size": "512x512", "steps": 4, "n": 10, "stream": true, \
        "partial_images": 3}
        """)
    case 2:
      request = HostileBodies.generation(
        #"{"prompt": "a slow reader", "size": "512x512", "steps": 1, "n": 10}"#)
    default: request = RawConnection.request("GET", Route.peels)
    }
    _ = try? await within(2) { try await connection.send(request) }
    await awaitEnd(of: connection, "unread", reads: false)
  }

  /// Waits until the daemon has had enough of a connection, or the run ends.
  private func awaitEnd(
    of connection: RawConnection, _ what: String, reads: Bool = true
  ) async {
    if !reads {
      await pause(3)
      return count("\(what), left")
    }
    let patience = max(plan.end - Clock.now, 0.1)
    do {
      let text = try await within(patience) { try await connection.receiveAll() }
      count("\(what): \(Self.outcome(of: text) ?? "cut off")")
    } catch {
      count("\(what): held to the end")
    }
  }
}
