/// Sessions by key, the least recently used of which go when they take too much memory together.
package final class SessionCache<Key: Hashable> {
  package let capacityBytes: Int
  private var entries: [Key: (session: Session, lastUse: Int)] = [:]
  private var clock = 0
  private var markedClock = 0

  package init(capacityBytes: Int) { self.capacityBytes = capacityBytes }

  /// Bytes that the cached sessions hold.
  package var residentBytes: Int { entries.values.reduce(0) { $0 + $1.session.residentBytes } }

  /// The session for `key`, made if it is not there.
  package func session(
    for key: Key, make: () throws(ExecutionError) -> Session
  ) throws(ExecutionError) -> Session {
    clock += 1
    if let entry = entries[key] {
      entries[key]?.lastUse = clock
      return entry.session
    }
    let session = try make()
    entries[key] = (session, clock)
    evict(keeping: key)
    return session
  }

  package var keys: Set<Key> { Set(entries.keys) }

  /// From here on, sessions count as used.
  package func mark() { markedClock = clock }

  /// Removes the sessions that were not used since `mark()`.
  package func removeUnused() { entries = entries.filter { $0.value.lastUse > markedClock } }

  package func removeAll() { entries.removeAll() }

  private func evict(keeping key: Key) {
    while residentBytes > capacityBytes,
      let oldest = entries.filter({ $0.key != key }).min(by: { $0.value.lastUse < $1.value.lastUse }
      )
    {
      entries[oldest.key] = nil
    }
  }
}
