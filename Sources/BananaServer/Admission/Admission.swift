import BananaAPI
import Synchronization

/// What users may have of the daemon before any job of theirs is one: connections, requests, and
/// bytes of bodies and answers that are on their way.
///
/// Everything is counted by account and taken before it is used, so that no user can keep another
/// from connecting, being read or being answered. Any thread may ask; nothing waits.
final class Admission: Sendable {
  private struct State {
    var requestsPerMinute = 0
    var editBodyBytes = 0
    /// Connections of which it is not known yet whose they are.
    var arrivals = 0
    var connections: Shares
    var bytes: Shares
    var rates = RequestRates()
  }

  private let state: Mutex<State>

  /// - Parameter connections: How many there may be in all.
  init(configuration: DaemonConfiguration, connections: Int) {
    var state = State(
      connections: Shares(capacity: connections), bytes: Shares(capacity: 0))
    Self.apply(configuration, to: &state)
    self.state = Mutex(state)
  }

  /// Takes on new settings; what is held stays so.
  func apply(_ configuration: DaemonConfiguration) {
    state.withLock { Self.apply(configuration, to: &$0) }
  }

  private static func apply(_ configuration: DaemonConfiguration, to state: inout State) {
    state.requestsPerMinute = configuration.quotas.requestsPerMinute
    state.editBodyBytes = configuration.editBodyBytes
    state.connections.limit = configuration.connectionsPerUser
    // The largest body must fit into half of it: that is the share of a user who is alone.
    state.bytes.capacity = max(configuration.transferBytes, 2 * configuration.editBodyBytes)
  }

  /// The largest body of an edit.
  var editBodyBytes: Int { state.withLock(\.editBodyBytes) }

  /// False when so many connections wait to be known that one more could do harm: the user database
  /// does not answer.
  func beginArrival() -> Bool {
    state.withLock { state in
      guard state.arrivals < max(state.connections.capacity / 8, 1) else { return false }
      state.arrivals += 1
      return true
    }
  }

  func endArrival() {
    state.withLock { $0.arrivals -= 1 }
  }

  /// Takes a connection in.
  /// - Throws: `APIError` with code `quotaExceeded` or `busy`.
  func connect(_ peer: Peer) throws(APIError) {
    try begin(.look, by: peer)
    do throws(Shares.Refusal) {
      try take(1, of: \.connections, for: peer)
    } catch {
      switch error {
      case .limit(let limit):
        throw APIError(
          .quotaExceeded,
          "\(peer.account) has \(limit) connections open, which is its limit. Close one.",
          retryAfterSeconds: 1)
      case .share:
        throw APIError(
          .busy,
          "\(peer.account) has as many connections open as are left for everybody else. Close one.",
          retryAfterSeconds: 1)
      }
    }
  }

  func disconnect(_ peer: Peer) {
    state.withLock { $0.connections.give(1, of: peer.account) }
  }

  /// Takes a token of the account's rate, when a request's head is there.
  /// - Throws: `APIError` with code `quotaExceeded`.
  func begin(
    _ kind: RequestRates.Kind, by peer: Peer, now: ContinuousClock.Instant = .now
  ) throws(APIError) {
    if peer.isExemptFromQuotas { return }
    let tooMany = state.withLock { state -> RequestRates.TooMany? in
      do throws(RequestRates.TooMany) {
        try state.rates.take(
          kind, for: peer.account, perMinute: state.requestsPerMinute, now: now)
        return nil
      } catch { return error }
    }
    guard let tooMany else { return }
    throw APIError(
      JobError.quotaExceeded(
        QuotaRefusal(
          quota: .requestsPerMinute(tooMany.perMinute), account: peer.account,
          retryAfterSeconds: Int(min(max(tooMany.seconds.rounded(.up), 1), 60)))))
  }

  /// Takes room for bytes of a body or an answer.
  /// - Throws: `APIError` with code `busy`.
  func take(bytes: Int, for peer: Peer) throws(APIError) {
    do throws(Shares.Refusal) { try take(bytes, of: \.bytes, for: peer) } catch {
      throw APIError(
        .busy,
        "\(peer.account) sends or is sent as much at once as there is room for beside everybody "
          + "else. Wait for what is under way.", retryAfterSeconds: 1)
    }
  }

  func give(bytes: Int, of peer: Peer) {
    state.withLock { $0.bytes.give(bytes, of: peer.account) }
  }

  private func take(
    _ amount: Int, of stock: any WritableKeyPath<State, Shares> & Sendable, for peer: Peer
  ) throws(Shares.Refusal) {
    let refusal = state.withLock { state -> Shares.Refusal? in
      do throws(Shares.Refusal) {
        try state[keyPath: stock].take(
          amount, for: peer.account, isExempt: peer.isExemptFromQuotas)
        return nil
      } catch { return error }
    }
    if let refusal { throw refusal }
  }
}
