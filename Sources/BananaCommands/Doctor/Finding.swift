/// What `banana doctor` found out about one thing.
struct Finding: Encodable, Equatable {
  enum Grade: String, Encodable {
    case ok, warn, fail
  }

  /// What was looked at: "socket", "memory", …
  var topic: String
  var grade: Grade
  var fact: String
  /// How to mend it; nil when there is nothing to mend.
  var remedy: String?

  static func ok(_ topic: String, _ fact: String) -> Finding {
    Finding(topic: topic, grade: .ok, fact: fact)
  }

  static func warn(_ topic: String, _ fact: String, mend remedy: String) -> Finding {
    Finding(topic: topic, grade: .warn, fact: fact, remedy: remedy)
  }

  static func fail(_ topic: String, _ fact: String, mend remedy: String) -> Finding {
    Finding(topic: topic, grade: .fail, fact: fact, remedy: remedy)
  }

  /// One line, and one more for the remedy.
  var text: String {
    func padded(_ text: String, _ width: Int) -> String {
      text + String(repeating: " ", count: max(width - text.count, 1))
    }
    let line = padded(grade.rawValue, 6) + padded(topic, 11) + fact
    return remedy.map { line + "\n" + padded("", 17) + "→ " + $0 } ?? line
  }
}
