import BananaAPI
import Testing

@Suite struct SocketPathTests {
  private let user = ["XDG_RUNTIME_DIR": "/run/user/7"]

  @Test func daemonServesWhereItIsTold() {
    let told = user.merging(["BANANA_SOCKET": "/x"]) { $1 }
    #expect(SocketPath.forDaemon(environment: told, isRoot: true) == "/x")
    #expect(SocketPath.forDaemon(environment: user, isRoot: true) == "/run/banana/banana.sock")
    #expect(
      SocketPath.forDaemon(environment: user, isRoot: false) == "/run/user/7/banana/banana.sock")
    #expect(SocketPath.forDaemon(environment: [:], isRoot: false) == nil)
    #expect(SocketPath.forDaemon(environment: ["BANANA_SOCKET": ""], isRoot: false) == nil)
  }

  @Test func clientPrefersTheUsersDaemon() {
    let own = "/run/user/7/banana/banana.sock"
    #expect(SocketPath.forClient(environment: user) { _ in true } == own)
    #expect(
      SocketPath.forClient(environment: user) { $0 == SocketPath.system } == SocketPath.system)
    #expect(SocketPath.forClient(environment: user) { _ in false } == own)
    #expect(SocketPath.forClient(environment: [:]) { _ in false } == SocketPath.system)
    #expect(SocketPath.forClient(environment: ["BANANA_SOCKET": "/x"]) { _ in true } == "/x")
  }
}
