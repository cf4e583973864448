import BananaAPI

/// What a siege showed, and what it has to be.
struct SiegeChecks {
  var slices: [SiegeSlice]
  /// Of the users who mean no harm, and of the probes.
  var report: ClientReport
  var before: DaemonProcess.Rest
  var after: DaemonProcess.Rest

  /// Of three users who want all that they can get, two have so much of the daemon together.
  ///
  /// The daemon cannot give what the kernel has given to others. What hostile processes, and
  /// whatever else runs on the machine, take from the processors for themselves is none of its
  /// doing: a loop that never talked to it would have that too. So the calm rate is counted for as
  /// much of the processors as was left of what is left in peace, by the kernel's figures: drawing
  /// takes all of them at once, and waits for each that somebody else has. What the daemon spends
  /// on hostile requests is the daemon's.
  static let fairShare = 2.0 / 3
  /// They must have at least so much of it.
  static let keptShare = 0.9
  static let healthSeconds = 0.05
  /// Nobody may be left so long without an answer, however busy the machine is.
  static let deafSeconds = 5.0
  /// Fewer pictures in a window, or fewer answers, say nothing about a tenth.
  static let tellingPictures = 200.0
  static let tellingAnswers = 200
  /// By then, clients have been started and connect.
  static let startSeconds = 3.0
  /// What the daemon may hold for one user beyond what it holds for the others, by its limits: what
  /// is on its way (`transfer_bytes`), waiting edits (a quarter of theirs), kept answers
  /// (`result_bytes`), and the work under way: an image and a mask of 2048x2048 as floats, or a
  /// peel of 64 MiB in its file's form and as floats.
  static let allowedBytes = (128 + 64 + 64 + 256) << 20

  /// With what became of hostile requests.
  var wholeReport: ClientReport {
    var whole = report
    for slice in hostile {
      for (outcome, count) in slice.outcomes {
        whole.outcomes["hostile \(slice.kind!.rawValue)", default: [:]][outcome, default: 0] +=
          count
      }
    }
    return whole
  }

  private var hostile: [SiegeSlice] { slices.filter { $0.kind != nil } }
  private var calm: [SiegeSlice] { slices.filter { $0.kind == nil } }

  var checks: [Check] {
    [
      alive, combined("others draw 90 % of their fair share of pictures a second", rates),
      together, combined("p99 of /healthz is below 50 ms for an app", health(isApp: true)),
      combined("p99 of /healthz is below 50 ms for the admin", health(isApp: false)), memory, rest,
      restOfDescriptors, nothingLeft, answers, harm,
    ]
  }

  // MARK: Pictures

  private func pictures(_ slice: SiegeSlice) -> Int {
    report.finishes.reduce(0) {
      $0 + (slice.window.contains($1.time) ? $1.pictures : 0)
    }
  }

  private func rate(_ slice: SiegeSlice) -> Double {
    Double(pictures(slice)) / slice.window.length
  }

  /// What the others draw in peace.
  private struct Calm {
    var rate: Double
    /// A tenth of the calm windows had less, and as many more; nil when they are too short to tell.
    var range: ClosedRange<Double>?
  }

  private var calmRate: Calm {
    let seconds = calm.reduce(0) { $0 + $1.window.length }
    let rate = Double(calm.reduce(0) { $0 + pictures($1) }) / max(seconds, 1e-9)
    // The first one is longer.
    let shortest = calm.map(\.window.length).min() ?? 0
    guard rate * shortest >= Self.tellingPictures / 2 else { return Calm(rate: rate) }
    let rates = Percentiles(calm.map(self.rate))
    return Calm(rate: rates[0.5], range: rates[0.1]...rates[0.9])
  }

  /// Of the processors that are left in peace, as much as was left in a slice; 1 is all.
  private func leftShare(_ slice: SiegeSlice) -> Double {
    let left = Percentiles(calm.map(\.leftSeconds))[0.5]
    return left > 0 && slice.leftSeconds > 0 ? min(slice.leftSeconds / left, 1) : 1
  }

  /// Of their fair share; 1 is all of it.
  /// - Parameter left: Of the processors that are left in peace.
  private func share(_ rate: Double, of calmRate: Double, left: Double = 1) -> Double {
    calmRate > 0 ? rate / (calmRate * Self.fairShare * left) : 1
  }

  /// Whether a rate over some time is enough, as far as the calm rates allow to tell.
  private func verdict(_ rate: Double, over seconds: Double, left: Double) -> Check.Verdict {
    let calm = calmRate
    // Who gets nothing in peace can lose nothing.
    guard calm.rate > 0 else { return .broken }
    let share = share(rate, of: calm.rate, left: left)
    if share >= Self.keptShare { return .kept }
    if calm.rate * Self.fairShare * seconds < Self.tellingPictures { return .leftOut }
    if let low = calm.range?.lowerBound,
      self.share(rate, of: low, left: left) < Self.keptShare
    {
      return .broken
    }
    return share < 0.5 ? .broken : .leftOut
  }

  private var rates: [(kind: HostileKind, verdict: Check.Verdict, figure: String)] {
    hostile.map { slice in
      let (rate, left) = (rate(slice), leftShare(slice))
      return (
        slice.kind!, verdict(rate, over: slice.window.length, left: left),
        percent(share(rate, of: calmRate.rate, left: left))
      )
    }
  }

  private var together: Check {
    let name = "and over all kinds together"
    let seconds = hostile.reduce(0) { $0 + $1.window.length }
    let rate = Double(hostile.reduce(0) { $0 + pictures($1) }) / max(seconds, 1e-9)
    let calm = calmRate
    let left =
      hostile.reduce(0) { $0 + leftShare($1) * $1.window.length } / max(seconds, 1e-9)
    var figure =
      "\(percent(share(rate, of: calm.rate, left: left))): \(tenths(rate)) pictures a second; calm "
      + tenths(calm.rate)
    if let range = calm.range {
      figure += ", from \(tenths(range.lowerBound)) to \(tenths(range.upperBound))"
    }
    switch verdict(rate, over: seconds, left: left) {
    case .kept: return Check(name, true, figure)
    case .broken: return Check(name, false, figure)
    case .leftOut:
      return Check(leftOut: name, because: "too few, or the calm rate varies: " + figure)
    }
  }

  // MARK: Answers

  /// Seconds until the answers in a window, and those that had been asked for meanwhile if the
  /// probe had not waited.
  private func seconds(_ name: String, _ slice: SiegeSlice) -> Percentiles {
    let stride = 2 * Probe.healthPauseSeconds
    let lost = report.interruptions.filter { $0.what == "probe \(name)" }
      .map { ClientReport.Sample(start: $0.start, seconds: Double(Probe.patienceSeconds)) }
    var all: [Double] = []
    for sample in (report.samples[name] ?? []) + lost
    where sample.start <= slice.window.upperBound
      && sample.start + sample.seconds >= slice.window.lowerBound
    {
      all.append(sample.seconds)
      var missed = sample.seconds - stride
      while missed > stride {
        all.append(missed)
        missed -= stride
      }
    }
    return Percentiles(all)
  }

  private func health(
    isApp: Bool
  ) -> [(kind: HostileKind, verdict: Check.Verdict, figure: String)] {
    hostile.map { slice in
      let times = seconds(Probe.healthName(isApp: isApp), slice)
      let idle = seconds(Probe.idleServer, slice)[0.99]
      let p99 = times[0.99]
      let figure =
        "\(SoakReport.milliseconds(p99)) ms (idle server \(SoakReport.milliseconds(idle)))"
      return (slice.kind!, verdict(times, idle: idle), figure)
    }
  }

  /// - Parameter idle: The same of a server that does nothing: the machine's doing.
  private func verdict(_ times: Percentiles, idle: Double) -> Check.Verdict {
    let p99 = times[0.99]
    if times.sorted.isEmpty || times[1] >= Self.deafSeconds { return .broken }
    if p99 < Self.healthSeconds { return .kept }
    let isCalm = idle <= Self.healthSeconds / 4
    // On a machine that answers otherwise, no number of answers is too small for this.
    if isCalm, p99 > 10 * Self.healthSeconds { return .broken }
    // Late ones come in clusters, so that a few in a second are one hiccup of the machine.
    if times.sorted.count < Self.tellingAnswers { return .leftOut }
    return isCalm || p99 > 10 * idle ? .broken : .leftOut
  }

  private var answers: Check {
    let cut = report.interruptions.count
    let wrong = slices.filter { slice in report.wrongTimes.contains(where: slice.window.contains) }
      .map { $0.kind?.rawValue ?? "calm" }
    return Check(
      "every request of the others gets its answer, their pictures byte for byte",
      report.failureCount == 0 && cut == 0 && report.comparedPictures > 0,
      "pictures: \(report.pictures); \(report.failureCount) failures, \(cut) cut off"
        + (wrong.isEmpty ? "" : "; wrong under \(wrong.joined(separator: ", "))"))
  }

  // MARK: Memory

  private var memory: Check {
    let calmPeak = calm.first?.peakBytes ?? 0
    let bound = calmPeak + Self.allowedBytes
    let worst = hostile.max { $0.peakBytes < $1.peakBytes }
    return Check(
      "resident memory stays within what limits allow", (worst?.peakBytes ?? 0) <= bound,
      "at most \(SoakReport.mebibytes(worst?.peakBytes ?? 0)) (\(worst?.kind?.rawValue ?? "")); "
        + "calm \(SoakReport.mebibytes(calmPeak)), bound \(SoakReport.mebibytes(bound))")
  }

  private var rest: Check {
    let grown = after.facts.residentBytes - before.facts.residentBytes
    return Check(
      "memory is given back after a siege", grown <= SoakChecks.residentTolerance,
      "\(SoakReport.mebibytes(before.facts.residentBytes)) → "
        + SoakReport.mebibytes(after.facts.residentBytes))
  }

  private var restOfDescriptors: Check {
    Check(
      "descriptors and threads are given back after a siege",
      after.facts.descriptors <= before.facts.descriptors
        && after.facts.threads <= before.facts.threads + 2,
      "\(before.facts.descriptors) → \(after.facts.descriptors) descriptors, "
        + "\(before.facts.threads) → \(after.facts.threads) threads")
  }

  private var nothingLeft: Check {
    Check(
      "no connection, job or file is left after a siege",
      after.connections + after.jobs + after.files.count == 0,
      "\(after.connections), \(after.jobs), \(after.files.count)")
  }

  // MARK: The rest

  private var alive: Check {
    let ends = slices.compactMap { slice in
      slice.exit.map { "\(slice.kind?.rawValue ?? "calm"): \($0)" }
    }
    return Check(
      "the daemon lives under siege", ends.isEmpty,
      ends.isEmpty ? "\(hostile.count) kinds" : ends.joined(separator: ", "))
  }

  private var harm: Check {
    let name = "hostile clients were hostile"
    let idle = hostile.filter { $0.outcomes.isEmpty }
    let figure =
      idle.isEmpty
      ? "every kind" : "nothing of \(idle.map { $0.kind!.rawValue }.joined(separator: ", "))"
    let isShort = idle.allSatisfy { $0.window.length < Self.startSeconds }
    if !idle.isEmpty, isShort { return Check(leftOut: name, because: "too short: " + figure) }
    return Check(name, idle.isEmpty && !hostile.isEmpty, figure)
  }

  /// One check of many kinds: broken when it is for one of them.
  private func combined(
    _ name: String, _ all: [(kind: HostileKind, verdict: Check.Verdict, figure: String)]
  ) -> Check {
    func list(_ verdict: Check.Verdict) -> String {
      all.filter { $0.verdict == verdict }.map { "\($0.kind.rawValue) \($0.figure)" }
        .joined(separator: ", ")
    }
    let kept = all.count { $0.verdict == .kept }
    let (broken, untold) = (list(.broken), list(.leftOut))
    var figure = "\(kept) of \(all.count) kinds"
    if !broken.isEmpty { figure += "; broken by \(broken)" }
    if !untold.isEmpty { figure += "; too short or too busy to tell: \(untold)" }
    if !broken.isEmpty { return Check(name, false, figure) }
    return untold.isEmpty ? Check(name, true, figure) : Check(leftOut: name, because: figure)
  }

  /// A line for each kind, as Markdown.
  var table: String {
    let columns = [
      "harm", "others' pictures/s", "processors left", "of their fair share",
      "p99 of /healthz, ms: app", "admin",
      "idle server", "others' longest wait, s", "others cut off", "peak resident", "descriptors",
      "how its requests ended",
    ]
    let rows = [columns, columns.map { _ in "---" }] + slices.map(cells)
    return rows.map { "| \($0.joined(separator: " | ")) |" }.joined(separator: "\n")
  }

  private func cells(_ slice: SiegeSlice) -> [String] {
    let rate = rate(slice)
    let probes = [
      Probe.healthName(isApp: true), Probe.healthName(isApp: false), Probe.idleServer,
    ]
    let waits = report.finishes.filter { slice.window.contains($0.time) }.map(\.seconds)
    let cut = report.interruptions.count { slice.window.contains($0.end) }
    let ends = slice.outcomes.sorted { ($0.value, $1.key) > ($1.value, $0.key) }.prefix(6)
      .map { "\($0.key) \($0.value)" }
    return [
      slice.kind?.rawValue ?? "(calm)", tenths(rate),
      "\(tenths(slice.leftSeconds)), used \(tenths(slice.usedSeconds))",
      slice.kind == nil
        ? "" : percent(share(rate, of: calmRate.rate, left: leftShare(slice))),
    ] + probes.map { SoakReport.milliseconds(seconds($0, slice)[0.99]) } + [
      tenths(waits.max() ?? 0), "\(cut)", SoakReport.mebibytes(slice.peakBytes),
      "\(slice.peakDescriptors)", ends.joined(separator: ", "),
    ]
  }

  private func percent(_ share: Double) -> String { "\(Int((share * 100).rounded())) %" }

  private func tenths(_ value: Double) -> String { "\((value * 10).rounded() / 10)" }
}

extension ClosedRange where Bound == Double {
  var length: Double { upperBound - lowerBound }
}
