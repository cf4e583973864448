import BananaAPI
import BananaTesting
import Foundation

// What the daemon would hold for whoever has gone, does not read or has much kept.
extension HostileClient {
  private static let largeForm = HostileBodies.form(
    [("image", [UInt8](repeating: 0x61, count: 15_000_000))], ["prompt": "nobody waits"])

  /// Sends a whole form and hangs up; now and then one stays, whose images take long to decode.
  func leaveForm(_ random: inout SeededGenerator) async throws {
    if Int.random(in: 0..<10, using: &random) == 0 {
      return await ask(
        HostileBodies.form(
          [("image", files.bomb), ("mask", files.bombMask)],
          ["prompt": "this one stays", "steps": "1", "size": "256x256"]))
    }
    let connection = try connect()
    let isSent = (try? await within(20) { try await connection.send(Self.largeForm) }) != nil
    connection.hangUp()
    count(isSent ? "sent and left" : "cut off")
  }

  func leaveStreamUnread() async throws {
    let connection = try connect()
    try await connection.send(
      HostileBodies.generation(
        """
        {"prompt": "unread", "size": "512x512", "steps": 4, "n": 10, "stream": true, \
        "partial_images": 3}
        """))
    await pause(10)
    count("unread, left")
    withExtendedLifetime(connection) {}
  }

  func keepFailures() async throws {
    await ask(
      HostileBodies.generation(
        #"{"prompt": "too late", "store": true, "deadline_seconds": 0.01}"#))
    let one = "GET \(Route.job("x")) HTTP/1.1\r\nHost: localhost\r\n\r\n"
    let all = "GET \(Route.jobs) HTTP/1.1\r\nHost: localhost\r\n\r\n"
    try await pipeline(Array((String(repeating: one, count: 25) + all).utf8))
  }
}
