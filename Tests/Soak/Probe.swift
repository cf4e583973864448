import BananaAPI
import Foundation

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Measures how long paths take to answer, one request at a time, and beside them a server that
/// does nothing: what that takes is the machine's doing.
struct Probe {
  /// Where the idle server's figures are found among the samples.
  static let idleServer = "(idle server)"
  /// What is asked on the admin socket in a storm.
  static let adminPaths = [Route.status, Route.metrics, Route.health, Route.jobs]
  /// The longest that an answer is waited for.
  static let patienceSeconds = 10
  /// Between two requests for `/healthz`: together with what else its user asks, that stays within
  /// what ships as the rate of one user.
  static let healthPauseSeconds = 0.015

  /// Something to ask again and again.
  struct Question {
    /// Under which its figures are kept.
    var name: String
    var path: String
    var socket: String
  }

  let plan: ClientPlan
  let questions: [Question]
  var pauseSeconds = 0.008

  static func admin(_ plan: ClientPlan) -> Probe {
    Probe(
      plan: plan,
      questions: adminPaths.map { .init(name: $0, path: $0, socket: plan.space.adminSocket) })
  }

  /// `/healthz` as an app asks it, or for who runs the machine, on the admin socket.
  static func health(_ plan: ClientPlan) -> Probe {
    let isApp = plan.user != nil
    let socket = isApp ? plan.space.socket : plan.space.adminSocket
    return Probe(
      plan: plan,
      questions: [.init(name: healthName(isApp: isApp), path: Route.health, socket: socket)],
      pauseSeconds: healthPauseSeconds)
  }

  static func healthName(isApp: Bool) -> String {
    "\(Route.health) (\(isApp ? "app" : "admin"))"
  }

  func run() -> ClientReport {
    var report = ClientReport()
    // Where every user may make a socket.
    let idle = "\(plan.space.reports)/idle-\(plan.index)-\(getpid()).sock"
    let server = IdleServer(path: idle)
    let questions = questions + [.init(name: Self.idleServer, path: "/", socket: idle)]
    var turn = 0
    while !plan.isOver {
      let question = questions[turn % questions.count]
      turn += 1
      let start = Clock.now
      let isAnswered = Self.exchange(question.path, question.socket)
      let end = Clock.now
      if isAnswered {
        report.samples[question.name, default: []].append(.init(start: start, seconds: end - start))
        report.count("probe \(question.name)", "ok")
      } else {
        report.count("probe \(question.name)", "interrupted")
        report.interruptions.append(
          .init(start: start, end: end, what: "probe \(question.name)"))
      }
      usleep(UInt32(pauseSeconds * 1e6))
    }
    server.stop()
    unlink(idle)
    return report
  }

  /// Connects, asks, and reads up to the end; false unless the answer is a success.
  private static func exchange(_ path: String, _ socketPath: String) -> Bool {
    guard
      let descriptor = UnixStream.connect(socketPath, timeoutSeconds: patienceSeconds)
    else { return false }
    defer { close(descriptor) }
    let request = "GET \(path) HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    guard UnixStream.send(descriptor, request) else { return false }
    var answer: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = recv(descriptor, &buffer, buffer.count, 0)
      if count <= 0 { break }
      answer += buffer[..<count]
    }
    return answer.starts(with: "HTTP/1.1 200".utf8)
  }
}
