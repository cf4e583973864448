/// Whose share of the machine a request counts into.
///
/// Everything that is limited or shared out by user hangs on the account: a user has many uids (all
/// those that `/etc/subuid` gives it) and one share. What belongs to somebody, jobs, results and
/// private peels, hangs on the uid.
package enum Account: Hashable, Sendable {
  case user(UInt32)
  /// All uids that nobody knows, together: whoever can make one up can make up many.
  case unknown
}

extension Account: CustomStringConvertible {
  /// As messages to its users name it.
  package var description: String {
    switch self {
    case .user(let uid): "User \(uid)"
    case .unknown: "The account of all users that are not in the user database"
    }
  }
}
