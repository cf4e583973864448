import BananaAPI

/// What a run of the soak measured, and what it has to be.
struct SoakChecks {
  var report: ClientReport
  var outages: [ClosedRange<Double>]
  var before: DaemonProcess.Rest
  var after: DaemonProcess.Rest
  /// Exit statuses by what the daemon was ended with.
  var exits: [(signal: String, status: Int32, expected: Int32)]
  /// Pixels by user in the window in which all were greedy; nil without several users.
  var pixelsByUser: [UInt32: Int]?

  /// More than this is a leak: what malloc and the kernel keep differs by so much from run to run.
  static let residentTolerance = 24 << 20
  static let fairness = 0.1
  /// Users have the engine in turns, of some 20 pictures each: of fewer than this, one turn more is
  /// more than `fairness`.
  static let fairPictures = 200
  static let adminSeconds = 0.02
  /// Fewer have no hundredth part worth the name.
  static let adminSamples = 500

  var checks: [Check] {
    [pictures, answers, interruptions, rude] + rest + [exit, fair] + admin + [isolation, peels]
  }

  private var pictures: Check {
    Check(
      "every picture is the calm daemon's, byte for byte",
      report.wrongPictures == 0 && report.comparedPictures > 0,
      report.pictures)
  }

  private var answers: Check {
    let requests = report.outcomes.filter { !$0.key.hasPrefix("rude") }
      .values.reduce(0) { $0 + $1.values.reduce(0, +) }
    return Check(
      "every orderly request gets the answer that is due", report.failureCount == 0,
      "\(requests) requests, \(report.failureCount) wrong or without")
  }

  /// Those that were cut off although the daemon was up.
  var unexplained: [ClientReport.Interruption] {
    report.interruptions.filter { one in
      !outages.contains { one.start <= $0.upperBound && one.end >= $0.lowerBound }
    }
  }

  private var interruptions: Check {
    Check(
      "cut off only while the daemon was down", unexplained.isEmpty && !outages.isEmpty,
      "\(outages.count) times down, \(report.interruptions.count) cut off, "
        + "\(unexplained.count) at other times")
  }

  private var rude: Check {
    let count = report.outcomes.filter { $0.key.hasPrefix("rude") }
      .values.reduce(0) { $0 + $1.values.reduce(0, +) }
    return Check("rude clients were rude", count > 0, "\(count) times")
  }

  private var rest: [Check] {
    let grown = after.facts.residentBytes - before.facts.residentBytes
    func mebibytes(_ bytes: Int) -> String { SoakReport.mebibytes(bytes) }
    return [
      Check(
        "no leak of memory", grown <= Self.residentTolerance,
        "resident \(mebibytes(before.facts.residentBytes)) → "
          + mebibytes(after.facts.residentBytes)),
      Check(
        "no leak of descriptors", after.facts.descriptors <= before.facts.descriptors,
        "\(before.facts.descriptors) → \(after.facts.descriptors)"),
      Check(
        "no leak of threads", after.facts.threads <= before.facts.threads + 2,
        "\(before.facts.threads) → \(after.facts.threads)"),
      Check(
        "no connection and no job left",
        before.connections + before.jobs + after.connections + after.jobs == 0,
        "\(after.connections) connections, \(after.jobs) jobs"),
      Check(
        "no file left under the state", after.files.isEmpty,
        after.files.isEmpty ? "0 files" : after.files.prefix(3).joined(separator: ", ")),
    ]
  }

  private var exit: Check {
    Check(
      "the daemon ends only when told", exits.allSatisfy { $0.status == $0.expected },
      exits.map { "\($0.signal): \($0.status)" }.joined(separator: ", "))
  }

  private var fair: Check {
    let name = "equal users get equal shares, one of them with three times the clients"
    guard let pixelsByUser, let most = pixelsByUser.values.max(),
      let least = pixelsByUser.values.min(), most > 0
    else {
      return Check(
        leftOut: name, because: "all clients are one user; run this as root for three")
    }
    let difference = Double(most - least) / Double(most)
    let shares = pixelsByUser.sorted { $0.key < $1.key }.map { "\($0.value >> 16)" }
    let figure =
      "\(shares.joined(separator: ", ")) pictures, "
      + "\((difference * 1000).rounded() / 10) % between the most and the least"
    let isKept = difference <= Self.fairness && pixelsByUser.count == 3
    if !isKept, most >> 16 < Self.fairPictures {
      return Check(leftOut: name, because: "too short a run to tell: " + figure)
    }
    return Check(name, isKept, figure)
  }

  private func percentiles(_ path: String) -> Percentiles {
    // What took long because nobody was there says nothing.
    let up = (report.samples[path] ?? []).filter { sample in
      !outages.contains {
        sample.start <= $0.upperBound && sample.start + sample.seconds >= $0.lowerBound
      }
    }
    return Percentiles(up.map(\.seconds))
  }

  private var admin: [Check] {
    let idle = percentiles(Probe.idleServer)
    let isMachineBusy = idle[0.99] > Self.adminSeconds / 4
    let reference = "\(SoakReport.milliseconds(idle[0.99])) ms for a server that does nothing"
    return Probe.adminPaths.map { path in
      let name = "p99 of \(path) is below 20 ms"
      let times = percentiles(path)
      let figure =
        "p50 \(SoakReport.milliseconds(times[0.5])), p99 \(SoakReport.milliseconds(times[0.99])), "
        + "most \(SoakReport.milliseconds(times[1])) ms of \(times.sorted.count); \(reference)"
      let isKept = times[0.99] < Self.adminSeconds && !times.sorted.isEmpty
      if !isKept, times.sorted.count < Self.adminSamples {
        return Check(leftOut: name, because: "too short a run to tell: " + figure)
      }
      if !isKept, isMachineBusy {
        return Check(leftOut: name, because: "the machine is too busy to tell: " + figure)
      }
      return Check(name, isKept, figure)
    }
  }

  private var isolation: Check {
    let name = "nobody sees another user's jobs and peels"
    if pixelsByUser == nil {
      return Check(leftOut: name, because: "all clients are one user; run this as root for three")
    }
    return Check(
      name, report.strangersSeen == 0 && report.looks > 0,
      "\(report.looks) looks, \(report.strangersSeen) finds")
  }

  private var peels: Check {
    Check(
      "no peel is half installed", report.brokenPeels == 0 && report.peelsSeen > 0,
      "\(report.peelsSeen) looked at, \(report.brokenPeels) broken")
  }
}
