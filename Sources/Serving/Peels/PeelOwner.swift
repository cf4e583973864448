/// Whose peels are meant.
package enum PeelOwner: Hashable, Sendable {
  /// Those that this uid alone can draw with.
  case user(UInt32)
  /// Those that an administrator installed for all.
  case everyone

  var folderName: String {
    switch self {
    case .user(let uid): "\(uid)"
    case .everyone: "all"
    }
  }

  /// - Parameter folderName: As a folder may be called that somebody else has made.
  init?(folderName: String) {
    if folderName == Self.everyone.folderName {
      self = .everyone
    } else if let uid = UInt32(folderName), folderName == "\(uid)" {
      self = .user(uid)
    } else {
      return nil
    }
  }
}

/// Whose limits peels count into, and whose work is done in turn.
enum PeelPot: Hashable, Sendable {
  /// What came with Banana, which nobody's limits hold.
  case shipped
  case everyone
  case account(Account)
}
