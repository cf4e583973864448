package import BananaAPI
import Logging

/// One setting of the config file: its name, what it may be, and where it goes.
package struct Setting: Sendable {
  package let name: String
  /// What the value must be, for a person.
  package let expected: String
  /// Whether a reload changes it; otherwise it needs a restart.
  package let isReloadable: Bool
  /// One sentence for the documentation.
  package let help: String
  /// Puts a value in place; false when it is not as expected.
  package let set: @Sendable (inout Settings, JSONValue) -> Bool
  let isEqual: @Sendable (Settings, Settings) -> Bool

  /// The known name that is most like a name that is not known.
  package static func nearest(to name: String) -> String {
    all.map(\.name).min { distance($0, name) < distance($1, name) } ?? ""
  }

  /// Levenshtein's distance.
  private static func distance(_ one: String, _ other: String) -> Int {
    let other = Array(other.utf8.prefix(64))
    var row = Array(0...other.count)
    for (i, a) in one.utf8.enumerated() {
      var diagonal = row[0]
      row[0] = i + 1
      for (j, b) in other.enumerated() {
        let above = row[j + 1]
        row[j + 1] = min(above + 1, row[j] + 1, diagonal + (a == b ? 0 : 1))
        diagonal = above
      }
    }
    return row[other.count]
  }
}

extension Setting {
  /// In the order of the documentation.
  package static let all: [Setting] = [
    path("socket", \.socket, "The Unix socket for apps."),
    path("admin_socket", \.adminSocket, "The Unix socket for whoever runs the machine."),
    path("state", \.stateDirectory, "The folder for what is installed, peels for example."),
    path("models", \.modelsDirectory, "The folders with the model packages, separated by colons."),
    path("peels", \.peelsDirectory, "The folder with the peels that came with Banana."),
    int(
      "forwarder_uid", \.daemon.forwarderUID, 0...Int(UInt32.max) - 1,
      "The user as whom a forwarder to the socket runs: its clients are not told apart, and own "
        + "no peels, jobs or kept answers."),
    int("threads", \.threads, 1...1024, "Threads that compute; without it one a processor."),
    int(
      "batch", \.daemon.limits.batch, 1...64, reloadable: false,
      "Pictures that are drawn in one pass while nothing is too hot."),
    fraction(
      "pace", \.daemon.limits.pace, 0.1...1, reloadable: false,
      "The share of the threads' time that is used while nothing is too hot."),
    choice(
      "log_level", \.logLevel, Logger.Level.allCases.map { ($0.rawValue, $0) },
      "How much is written to the log."),
    int(
      "queue_capacity", \.daemon.waitingJobs, 1...100_000,
      "Jobs that may wait; one more is answered with busy."),
    duration(
      "ageing_seconds", \.daemon.ageing, 1...86_400,
      "A job that has waited so long counts as one priority better."),
    duration(
      "turn_seconds", \.daemon.turn, 0...3600,
      "How long a job has the engine while other users wait, and the step that is under way then."),
    int(
      "requests_per_minute", \.daemon.quotas.requestsPerMinute, 0...1_000_000,
      "POST requests, right or wrong, that a user may send in a minute; 0 is no quota."),
    int(
      "concurrent_jobs", \.daemon.quotas.concurrentJobs, 0...100_000,
      "Jobs of a user that are not done yet; 0 is no quota."),
    fraction(
      "queue_share", \.daemon.quotas.queueShare, 0...1, reloadable: true,
      "The share of the queue that a user may hold; 0 is no quota."),
    int(
      "pixels_per_day", \.daemon.quotas.pixelsPerDay, 0...Int.max / 2,
      "Pixels that a user may have drawn within 24 hours of the first; 0 is no quota."),
    int(
      "peels_per_user", \.daemon.peelLimits.peels, 0...10_000,
      "Peels that a user may have installed, and likewise the admin for all users."),
    int(
      "peel_bytes_per_user", \.daemon.peelLimits.bytes, 0...1 << 40,
      "Bytes of the files of these peels together."),
    int(
      "peel_bytes_total", \.daemon.peelLimits.totalBytes, 0...1 << 44,
      "Bytes of the files of all users' peels together."),
    int(
      "result_seconds", \.daemon.resultSeconds, 1...86_400,
      "How long the answers of jobs with \"store\" are kept."),
    int(
      "result_bytes", \.daemon.resultBytes, 0...1 << 40,
      "Memory for the answers that are kept; the oldest go first."),
    int(
      "connections_per_user", \.daemon.connectionsPerUser, 1...100_000,
      "Connections that a user may have open; nobody gets more than are left for the others."),
    int(
      "transfer_bytes", \.daemon.transferBytes, 1 << 20...1 << 40,
      "Memory for bodies and answers on their way; a user gets as much as is left for the others."),
    int(
      "edit_pixels", \.daemon.editPixels, 1...1 << 26, "The most pixels of an image to edit."),
    int(
      "waiting_image_bytes", \.daemon.waitingImageBytes, 1 << 20...1 << 40,
      "Memory for the images of edits that wait, a quarter of it for those of one user."),
    Setting(
      "default_model", \.daemon.defaultModel, expected: "the name of a model",
      reloadable: true, "The model of requests that name none."
    ) { $0.path.map(Optional.some) },
    Setting(
      "model_aliases", \.daemon.modelAliases,
      expected: "an object that gives each alias a model, {\"dall-e-3\": \"NAME\"}",
      reloadable: true, "Other names by which requests may ask for models that are installed."
    ) { $0.aliases },
    duration(
      "idle_unload_seconds", \.daemon.idleUnload, 0...86_400, reloadable: false,
      "After so long without a job the memory of the engine is given back; 0 is never."),
    duration(
      "idle_timeout_seconds", \.daemon.idleTimeout, 1...86_400, reloadable: false,
      "How long a connection may stay open without a request, or while one is sent or its answer "
        + "read."),
  ]

  /// Settings that there were, each with why nothing is lost.
  package static let removed = [
    "closing_grace_seconds": "bananad waits 5 s for clients that read slowly when it stops",
    "edit_body_bytes": "edit_pixels sets it: 4 bytes a pixel, and 64 KiB for the rest of the form",
    "sysfs_root": "it is /sys; simulations give the flag --sysfs-root",
  ]

  /// - Parameter read: The value that JSON stands for; nil when it is not as expected.
  private init<Value: Equatable & Sendable>(
    _ name: String, _ place: any WritableKeyPath<Settings, Value> & Sendable, expected: String,
    reloadable: Bool, _ help: String, read: @escaping @Sendable (JSONValue) -> Value?
  ) {
    self.init(
      name: name, expected: expected, isReloadable: reloadable, help: help,
      set: { settings, json in
        guard let value = read(json) else { return false }
        settings[keyPath: place] = value
        return true
      }, isEqual: { $0[keyPath: place] == $1[keyPath: place] })
  }

  private static func path(
    _ name: String, _ place: any WritableKeyPath<Settings, String?> & Sendable, _ help: String
  ) -> Setting {
    Setting(name, place, expected: "a path", reloadable: false, help) {
      $0.path.map(Optional.some)
    }
  }

  private static func int(
    _ name: String, _ place: any WritableKeyPath<Settings, Int> & Sendable,
    _ range: ClosedRange<Int>, reloadable: Bool = true, _ help: String
  ) -> Setting {
    Setting(name, place, expected: expected(range), reloadable: reloadable, help) {
      $0.integer(in: range)
    }
  }

  private static func int(
    _ name: String, _ place: any WritableKeyPath<Settings, Int?> & Sendable,
    _ range: ClosedRange<Int>, _ help: String
  ) -> Setting {
    Setting(name, place, expected: expected(range), reloadable: false, help) {
      $0.integer(in: range).map(Optional.some)
    }
  }

  private static func expected(_ range: ClosedRange<Int>) -> String {
    "an integer between \(range.lowerBound) and \(range.upperBound)"
  }

  private static func fraction(
    _ name: String, _ place: any WritableKeyPath<Settings, Double> & Sendable,
    _ range: ClosedRange<Double>, reloadable: Bool, _ help: String
  ) -> Setting {
    let ends = [range.lowerBound, range.upperBound].map {
      $0 == 0 || $0 == 1 ? "\(Int($0))" : "\($0)"
    }
    let expected = "a number between \(ends[0]) and \(ends[1])"
    return Setting(name, place, expected: expected, reloadable: reloadable, help) {
      $0.number(in: range)
    }
  }

  private static func duration(
    _ name: String, _ place: any WritableKeyPath<Settings, Duration> & Sendable,
    _ range: ClosedRange<Double>, reloadable: Bool = true, _ help: String
  ) -> Setting {
    let expected = "seconds between \(Int(range.lowerBound)) and \(Int(range.upperBound))"
    return Setting(name, place, expected: expected, reloadable: reloadable, help) {
      $0.number(in: range).map { .seconds($0) }
    }
  }

  private static func choice<Value: Equatable & Sendable>(
    _ name: String, _ place: any WritableKeyPath<Settings, Value> & Sendable,
    _ choices: [(String, Value)], _ help: String
  ) -> Setting {
    let expected = "one of \(choices.map { "\"\($0.0)\"" }.joined(separator: ", "))"
    return Setting(name, place, expected: expected, reloadable: true, help) { json in
      guard case .string(let word) = json else { return nil }
      return choices.first { $0.0 == word }?.1
    }
  }
}

extension JSONValue {
  fileprivate var path: String? {
    guard case .string(let path) = self, !path.isEmpty else { return nil }
    return path
  }

  fileprivate var aliases: ModelAliases? {
    guard case .object(let members) = self else { return nil }
    var models: [String: String] = [:]
    for (alias, model) in members {
      guard case .string(let model) = model, !model.isEmpty, !alias.isEmpty else { return nil }
      models[alias] = model
    }
    return ModelAliases(models)
  }

  fileprivate func integer(in range: ClosedRange<Int>) -> Int? {
    guard case .int(let number) = self, range.contains(number) else { return nil }
    return number
  }

  fileprivate func number(in range: ClosedRange<Double>) -> Double? {
    let number: Double
    switch self {
    case .int(let integer): number = Double(integer)
    case .double(let real): number = real
    default: return nil
    }
    return range.contains(number) ? number : nil
  }
}
