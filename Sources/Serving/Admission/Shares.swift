/// Hands out a bounded stock so that whoever comes later still finds some of it.
///
/// An account may hold as much as is free when it has it: alone a half, and of `k` accounts that
/// take all they can get each one part in `k + 1`, with as much left for the next (Choudhury and
/// Hahne 1998, "Dynamic Queue Length Thresholds for Shared-Memory Packet Switches", alpha 1).
package struct Shares: Sendable {
  /// Why an account gets no more.
  package enum Refusal: Error, Sendable, Equatable {
    /// It has what one account may have at most.
    case limit(Int)
    /// It has its share of what there is.
    case share
  }

  package var capacity: Int
  /// What one account may hold at most, however much is free.
  package var limit: Int
  package private(set) var total = 0
  private var held: [Account: Int] = [:]

  package init(capacity: Int, limit: Int = .max) {
    self.capacity = capacity
    self.limit = limit
  }

  /// - Parameter isExempt: Takes what is free, without a share.
  package mutating func take(
    _ amount: Int, for account: Account, isExempt: Bool = false
  ) throws(Refusal) {
    precondition(amount >= 0)
    let (mine, isOver) = held[account, default: 0].addingReportingOverflow(amount)
    if !isExempt, isOver || mine > limit { throw .limit(limit) }
    guard !isOver, amount <= capacity - total, isExempt || mine <= capacity - total - amount
    else { throw .share }
    if mine > 0 { held[account] = mine }
    total += amount
  }

  package mutating func give(_ amount: Int, of account: Account) {
    let rest = held[account, default: 0] - amount
    precondition(amount >= 0 && rest >= 0)
    held[account] = rest == 0 ? nil : rest
    total -= amount
  }
}
