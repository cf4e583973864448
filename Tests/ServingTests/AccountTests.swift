import BananaTesting
import Foundation
import Serving
import Synchronization
import Testing

/// Which account a uid counts into.
@Suite struct AccountTests {
  /// A user database that is as it is told.
  private final class Users: Sendable {
    struct State {
      var names: [String: UInt32] = ["root": 0, "ann": 1000, "ben": 1001]
      var isDown = false
      var questions = 0
    }

    let state = Mutex(State())

    var database: UserDatabase {
      UserDatabase(
        user: { uid in self.ask { $0.names.values.contains(uid) ? .user(uid) : .nobody } },
        userNamed: { name in self.ask { $0.names[name].map { .user($0) } ?? .nobody } })
    }

    private func ask(_ body: (State) -> UserDatabase.Answer) -> UserDatabase.Answer {
      state.withLock { state in
        state.questions += 1
        return state.isDown ? .failed : body(state)
      }
    }
  }

  private static let folder = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().appending(path: "Fixtures/subuid")

  private static func ids(_ name: String) throws -> SubordinateIDs {
    SubordinateIDs(parsing: try Data(contentsOf: folder.appending(path: name)))
  }

  @Test func readsNamesNumbersAndRanges() throws {
    let ids = try Self.ids("usual")
    #expect(ids.damagedLines.isEmpty)
    #expect(
      ids.ranges == [
        .init(owner: .name("ann"), ids: 100_000...165_535),
        .init(owner: .uid(1001), ids: 165_536...231_071),
        .init(owner: .name("ann"), ids: 300_000...300_000),
      ])
    #expect(ids.owner(of: 99_999) == nil && ids.owner(of: 231_072) == nil)
    #expect(ids.owner(of: 100_000) == .name("ann") && ids.owner(of: 165_535) == .name("ann"))
    #expect(ids.owner(of: 165_536) == .uid(1001) && ids.owner(of: 300_000) == .name("ann"))
  }

  @Test func takesTheFirstOfRangesThatOverlap() throws {
    let ids = try Self.ids("overlapping")
    #expect(ids.owner(of: 100_500) == .name("ann") && ids.owner(of: 101_500) == .name("ben"))
  }

  /// A line that is wrong gives nobody anything, and spoils no other.
  @Test func passesOverDamagedLines() throws {
    let ids = try Self.ids("damaged")
    #expect(
      ids.ranges == [
        .init(owner: .name("ann"), ids: 100_000...165_535),
        .init(owner: .name("ben"), ids: 4_294_967_290...4_294_967_294),
        .init(owner: .name("cid"), ids: 200_000...4_294_967_294),
        .init(owner: .name("dan"), ids: 300_000...300_009),
      ])
    #expect(ids.damagedLines == [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 13])
  }

  @Test func readsAnyBytes() {
    var mutator = Mutator(seed: 5, tokens: [":", "\n", "100000", "ann", "4294967295", "\r", "#"])
    let usual = Array("ann:100000:65536\n1001:165536:65536\n".utf8)
    for _ in 0..<2000 {
      let ids = SubordinateIDs(parsing: mutator.mutate(usual))
      #expect(ids.ranges.allSatisfy { $0.ids.upperBound < .max })
    }
  }

  private func book(
    _ users: Users, _ file: String, lifetime: Duration = .seconds(60)
  ) -> AccountBook {
    AccountBook(
      users: users.database, subordinateFile: file, lifetime: lifetime, failureLifetime: .zero)
  }

  @Test func countsSubordinatesAsTheirOwnersAndStrangersAsOne() async throws {
    let book = book(Users(), Self.folder.appending(path: "nested").path)
    for (uid, account) in [
      (0, .user(0)), (1000, .user(1000)), (1001, .user(1001)), (100_000, .user(1000)),
      (165_535, .user(1000)), (1002, .unknown), (61_001, .unknown), (.max - 1, .unknown),
      // Given to one who is nobody, and to one who was given it by ann.
      (400_000, .unknown), (500_000, .user(1000)),
      // Two who were given each other are one, whichever of them asks; root is root.
      (600_000, .user(1001)), (700_000, .unknown), (800_000, .unknown), (900_000, .user(0)),
    ] as [(UInt32, Account)] {
      #expect(await book.account(of: uid) == account, "\(uid)")
    }
  }

  @Test func asksTheDatabaseOnceAndNoticesAnotherFile() async throws {
    try await TemporaryFolder.with { folder async throws in
      let (users, path) = (Users(), folder + "/subuid")
      let book = book(users, path)
      for _ in 0..<5 { #expect(await book.account(of: 100_000) == .unknown) }
      #expect(users.state.withLock { $0.questions } == 1)
      try Data("ann:100000:10\n".utf8).write(to: URL(filePath: path))
      #expect(await book.account(of: 100_000) == .user(1000))
      let questions = users.state.withLock { $0.questions }
      #expect(await book.account(of: 100_000) == .user(1000))
      #expect(users.state.withLock { $0.questions } == questions)
      // As usermod does it: another file of the same size in its place.
      try Data("ben:100000:10\n".utf8).write(to: URL(filePath: path), options: .atomic)
      #expect(await book.account(of: 100_000) == .user(1001))
      try FileManager.default.removeItem(atPath: path)
      #expect(await book.account(of: 100_000) == .unknown)
    }
  }

  /// A directory service that is away for a moment takes nobody's account away, and makes none.
  @Test func outlivesADatabaseThatIsDown() async throws {
    let users = Users()
    let book = book(users, "", lifetime: .zero)
    #expect(await book.account(of: 1000) == .user(1000))
    users.state.withLock { $0.isDown = true }
    for _ in 0..<5 {
      #expect(await book.account(of: 1000) == .user(1000))
      #expect(await book.account(of: 1001) == .unknown)
    }
    users.state.withLock { $0.isDown = false }
    #expect(await eventually { await book.account(of: 1001) == .user(1001) })
    // Who is removed is noticed, when the answer that is known has served its time.
    users.state.withLock { $0.names["ann"] = nil }
    #expect(await eventually { await book.account(of: 1000) == .unknown })
  }

  @Test func knowsTheUsersOfThisMachine() async {
    let book = AccountBook(subordinateFile: "")
    #expect(await book.account(of: getuid()) == .user(getuid()))
    #expect(await book.account(of: 0) == .user(0))
    #expect(UserDatabase.system.userNamed("root") == .user(0))
    #expect(UserDatabase.system.userNamed("no such user") == .nobody)
  }
}
