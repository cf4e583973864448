/// The step that is open and its next task, in one word: a task is claimed only from the very step
/// that was looked at.
struct Ticket: Hashable {
  private static let fieldBits: UInt64 = 20
  /// The most tasks that a step may have.
  static let mostTasks: UInt64 = 1 << fieldBits - 1

  /// `generation << 40 | tasks << 20 | next task`.
  let word: UInt64

  init(word: UInt64) { self.word = word }

  /// Of no step.
  static let none = Ticket(word: 0)

  var taskCount: UInt64 { word >> Self.fieldBits & Self.mostTasks }
  /// The first task that nobody has claimed.
  var nextTask: UInt64 { word & Self.mostTasks }
  var hasTask: Bool { nextTask < taskCount }

  /// The ticket once its next task is claimed.
  /// - Precondition: It has one.
  var claimed: Ticket { Ticket(word: word + 1) }

  /// The ticket of the step after this one.
  /// - Precondition: At most `mostTasks`.
  func following(tasks: Int) -> Ticket {
    precondition(tasks <= Self.mostTasks, "\(tasks) tasks are too many")
    let generation = word >> (2 * Self.fieldBits) &+ 1
    return Ticket(word: generation << (2 * Self.fieldBits) | UInt64(tasks) << Self.fieldBits)
  }
}
