package import BananaAPI
import Synchronization

/// What users may have of the daemon before any job of theirs is one: connections, requests, and
/// bytes of bodies and answers that are on their way.
///
/// Everything is counted by account and taken before it is used, so that no user can keep another
/// from connecting, being read or being answered. Any thread may ask; nothing waits.
package final class Admission: Sendable {
  private struct State {
    var requestsPerMinute = 0
    var editBodyBytes = 0
    /// Connections of which it is not known yet whose they are.
    var unknownArrivals = 0
    /// Those of which it is, and that are not served yet.
    var arrivals = 0
    var connections: Shares
    var bytes: Shares
    var rates = RequestRates()
  }

  private let state: Mutex<State>

  /// - Parameter connections: How many there may be in all.
  package init(configuration: DaemonConfiguration, connections: Int) {
    var state = State(
      connections: Shares(capacity: connections), bytes: Shares(capacity: 0))
    Self.apply(configuration, to: &state)
    self.state = Mutex(state)
  }

  /// Takes on new settings; what is held stays so.
  package func apply(_ configuration: DaemonConfiguration) {
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
  package var editBodyBytes: Int { state.withLock(\.editBodyBytes) }

  /// So many accepted connections may wait to be served; more wait in the kernel, for nothing.
  private static let maximumArrivals = 128

  /// Whether another connection may be accepted, or those that were come first.
  package var hasRoomForArrivals: Bool { state.withLock { $0.arrivals < Self.maximumArrivals } }

  /// Counts a connection until it is served.
  /// - Parameter isKnown: Whether it is known whose it is.
  /// - Returns: False when so many wait to be known that one more could do harm: the user database
  ///   does not answer.
  package func beginArrival(isKnown: Bool) -> Bool {
    state.withLock { state in
      if isKnown {
        state.arrivals += 1
      } else {
        guard state.unknownArrivals < max(state.connections.capacity / 8, 1) else { return false }
        state.unknownArrivals += 1
      }
      return true
    }
  }

  package func endArrival(isKnown: Bool) {
    state.withLock { state in
      if isKnown { state.arrivals -= 1 } else { state.unknownArrivals -= 1 }
    }
  }

  /// Takes a connection in.
  /// - Returns: What it is to be told, and late, before it is closed; nil lets it in.
  /// - Throws: A refusal with code `quotaExceeded` or `busy`, late for whoever is told often.
  package func connect(_ peer: Peer) throws(RequestRefusal) -> RequestRefusal? {
    var refusal: RequestRefusal?
    do throws(RequestRefusal) { try begin(.look, by: peer) } catch {
      if error.lateness == .zero { throw error }
      refusal = error
    }
    try takeConnection(for: peer)
    return refusal
  }

  private func takeConnection(for peer: Peer) throws(RequestRefusal) {
    do throws(Shares.Refusal) {
      try take(1, of: \.connections, for: peer)
    } catch {
      let lateness = state.withLock { $0.rates.lateness(of: peer.account, now: .now) }
      let refusal =
        switch error {
        case .limit(let limit):
          APIError(
            .quotaExceeded,
            "\(peer.account) has \(limit) connections open, which is its limit. Close one.",
            retryAfterSeconds: 1)
        case .share:
          APIError(
            .busy,
            "\(peer.account) has as many connections open as are left for everybody else. "
              + "Close one.", retryAfterSeconds: 1)
        }
      throw RequestRefusal(error: refusal, lateness: lateness)
    }
  }

  package func disconnect(_ peer: Peer) {
    state.withLock { $0.connections.give(1, of: peer.account) }
  }

  /// Takes a token of the account's rate, when a request's head is there.
  /// - Throws: A refusal with code `quotaExceeded`, to be told late to whoever is told often.
  package func begin(
    _ kind: RequestRates.Kind, by peer: Peer, now: ContinuousClock.Instant = .now
  ) throws(RequestRefusal) {
    if peer.isExemptFromQuotas { return }
    let tooMany = state.withLock { state -> RequestRates.TooMany? in
      do throws(RequestRates.TooMany) {
        try state.rates.take(
          kind, for: peer.account, perMinute: state.requestsPerMinute, now: now)
        return nil
      } catch { return error }
    }
    guard let tooMany else { return }
    let refusal = QuotaRefusal(
      quota: .requestsPerMinute(tooMany.perMinute), account: peer.account,
      retryAfterSeconds: Int(min(max(tooMany.seconds.rounded(.up), 1), 60)))
    throw RequestRefusal(
      error: APIError(JobError.quotaExceeded(refusal)), lateness: tooMany.lateness)
  }

  /// Takes room for bytes of a body or an answer.
  /// - Throws: `APIError` with code `busy`.
  package func take(bytes: Int, for peer: Peer) throws(APIError) {
    do throws(Shares.Refusal) { try take(bytes, of: \.bytes, for: peer) } catch {
      throw APIError(
        .busy,
        "\(peer.account) sends or is sent as much at once as there is room for beside everybody "
          + "else. Wait for what is under way.", retryAfterSeconds: 1)
    }
  }

  package func give(bytes: Int, of peer: Peer) {
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
