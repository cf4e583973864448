import BananaAPI
import BananaTesting

// What is no HTTP, or HTTP without an end.
extension HostileClient {
  func sendGarbage(_ random: inout SeededGenerator) async throws {
    let kinds = [
      "noise", "heads", "lines", "names", "headers", "chunks", "lengths", "versions", "mutant",
    ]
    let kind = kinds.randomElement(using: &random)!
    let post = "POST \(Route.imageGenerations) HTTP/1.1\r\nHost: localhost\r\n"
    switch kind {
    case "noise":
      let noise = (0..<Int.random(in: 1...100_000, using: &random)).map { _ in
        UInt8.random(in: 0...255, using: &random)
      }
      await ask(noise, patience: 5)
    case "heads": await ask(Array(String(repeating: "\r\n", count: 500_000).utf8), patience: 5)
    case "lines":
      await ask(Array("GET /\(String(repeating: "a", count: 4_000_000))".utf8), patience: 5)
    case "names":
      await ask(Array((post + String(repeating: "x", count: 4_000_000)).utf8), patience: 5)
    case "headers":
      let header = "x-a: \(String(repeating: "b", count: 50))\r\n"
      await ask(Array((post + String(repeating: header, count: 100_000)).utf8), patience: 5)
    case "chunks":
      let head =
        post + "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
        + "Connection: close\r\n\r\n"
      let chunk = Bool.random(using: &random) ? "1;e=\(String(repeating: "y", count: 200))" : "1"
      let body = String(repeating: "\(chunk)\r\n \r\n", count: 100_000) + "0\r\n\r\n"
      await ask(Array((head + body).utf8), patience: 10)
    case "lengths":
      let length = ["-1", "1e9", "999999999999999999999", "4611686018427387904", "5, 6", "0x10"]
        .randomElement(using: &random)!
      await ask(
        Array((post + "Connection: close\r\nContent-Length: \(length)\r\n\r\n{}").utf8), patience: 5
      )
    case "versions":
      let starts = [
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET /healthz HTTP/0.9\r\n\r\n", "GET\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        post + "Expect: 100-continue\r\nContent-Length: 1000\r\n\r\n",
        "CONNECT a:1 HTTP/1.1\r\n\r\n", "GET http://a/healthz HTTP/1.1\r\n\r\n",
      ]
      await ask(Array(starts.randomElement(using: &random)!.utf8), patience: 2)
    default:
      var mutator = Mutator(
        seed: random.next(), tokens: ["\r\n", "Content-Length: 9\r\n", "\0", "chunked", "[[[["])
      await ask(
        mutator.mutate(HostileBodies.generation(#"{"prompt": "a mutant", "size": "256x256"}"#)),
        patience: 5)
    }
  }
}
