import ArgumentParser
import BananaAPI
import BananaSDK

/// `banana jobs …`.
struct JobsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "jobs", abstract: "Lists your jobs, or cancels one.",
    subcommands: [JobsListCommand.self, JobsCancelCommand.self],
    defaultSubcommand: JobsListCommand.self)
}

/// `banana jobs` and `banana jobs list`.
struct JobsListCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "Lists your jobs that wait, are drawn, or were kept.")

  @Flag(help: "Print the list as JSON.")
  var json = false

  @OptionGroup var connection: ConnectionOptions

  func run() async throws {
    try await reportingFailures {
      let jobs = try await BananaClient(socketPath: connection.socket).jobs()
      if json {
        print(try JSONText.encode(jobs))
      } else {
        print(jobs.isEmpty ? "You have no jobs." : jobs.map(Self.text).joined(separator: "\n"))
      }
    }
  }

  /// One line on one job.
  static func text(_ job: JobInfo) -> String {
    var parts = [
      job.id, job.state.rawValue, job.priority.rawValue,
      "\(job.pictures) of \(job.size), \(job.steps) steps",
    ]
    if let ahead = job.jobsAhead { parts.append("\(ahead) before it") }
    if let progress = job.progress, job.state == .running {
      parts.append(ProgressBar.line(progress))
    }
    if let error = job.error { parts.append(error.message) }
    return parts.joined(separator: "  ").printable
  }
}

/// `banana jobs cancel ID`.
struct JobsCancelCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "cancel", abstract: "Cancels a job that waits or is being drawn.")

  @Argument(help: "Its id, from `banana jobs`.")
  var id: String

  @OptionGroup var connection: ConnectionOptions

  func run() async throws {
    try await reportingFailures {
      let job = try await BananaClient(socketPath: connection.socket).cancelJob(id)
      print("\(job.id) \(job.state.rawValue)")
    }
  }
}
