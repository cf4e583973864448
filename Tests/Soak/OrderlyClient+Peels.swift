import BananaAPI
import BananaSDK
import Foundation
import Weights

// What this client has installed under its own name. An interrupted change may have happened or
// not, so that what is there is known only as a set of possibilities until the next look.
extension OrderlyClient {
  func installPeel(_ which: Int) async {
    let answer = await attempt("install a peel") { [client, space, name = peelName] in
      try await client.installPeel(from: space.peel(which), named: name)
    }
    switch answer {
    case .success(let info):
      check(info)
      possiblePeels = [which]
    case .failure(.refused): return
    case .failure(.interrupted), .failure(.failed): possiblePeels.insert(which)
    }
  }

  func installBrokenPeel() async {
    let path = "\(space.ids)/broken-\(plan.index)-\(uid).safetensors"
    let whole = FileManager.default.contents(atPath: space.peel(0)) ?? Data()
    try? whole.prefix(whole.count / 2).write(to: URL(filePath: path))
    let answer = await attempt("install half a peel", expecting: [.peelInvalid]) {
      [client, name = peelName] in
      try await client.installPeel(from: path, named: name)
    }
    if case .success = answer {
      report.brokenPeels += 1
      fail("half a peel was installed")
    }
  }

  func removePeel() async {
    let answer = await attempt("remove a peel", expecting: [.peelNotFound]) {
      [client, name = peelName] in try await client.removePeel(name)
    }
    switch answer {
    case .success: take(possiblePeels.subtracting([nil]), or: "removed a peel that was not there")
    case .failure(.refused(.peelNotFound)): takeNone("a peel is gone")
    case .failure(.refused): return
    case .failure(.interrupted), .failure(.failed):
      possiblePeels.insert(nil)
      return
    }
    possiblePeels = [nil]
  }

  func drawWithOwnPeel() async {
    var request = kinds[RequestKind.withPrivatePeel[0]].request
    request.peels = [.init(name: peelName)]
    let answer = await attempt("draw with own peel", expecting: [.peelNotFound]) {
      [client, request] in try await client.generate(request)
    }
    switch answer {
    case .success(let response):
      report.comparedPictures += 1
      report.peelsSeen += 1
      let seen = Set(
        RequestKind.withPrivatePeel.map { kinds[$0] }
          .filter { $0.isDrawn(by: response.data, space) }.map(\.privatePeel))
      if seen.isEmpty {
        report.wrongPictures += 1
        report.wrongPixels += 1
        keep(response.data[0].png, of: kinds[RequestKind.withPrivatePeel[0]], 0)
      }
      take(
        possiblePeels.intersection(seen),
        or: "a picture with an own peel is not one of those that it can be")
    case .failure(.refused(.peelNotFound)): takeNone("a peel that was installed is not found")
    case .failure: return
    }
  }

  func listPeels() async {
    let answer = await attempt("list peels") { [client] in try await client.peels() }
    guard case .success(let peels) = answer else { return }
    report.looks += 1
    for peel in peels where peel.scope == .private {
      check(peel)
      if peel.name.hasPrefix("u\(uid)-c") { continue }
      report.strangersSeen += 1
      fail("the list of peels shows \(peel.name)")
    }
    if let own = peels.first(where: { $0.name == peelName }) {
      let seen = Self.knownPeels(space).firstIndex(of: own.sha256)
      take(possiblePeels.intersection([seen]), or: "a peel is listed that is not as installed")
    } else {
      takeNone("a peel that was installed is not listed")
    }
  }

  /// Removes everything that this user has installed.
  func cleanUp() async {
    let answer = await attempt("list peels") { [client] in try await client.peels() }
    guard case .success(let peels) = answer else { return }
    for peel in peels where peel.scope == .private {
      check(peel)
      _ = await attempt("remove a peel") { [client] in try await client.removePeel(peel.name) }
    }
  }

  /// Whether a peel is whole: one of the files that are ever sent.
  private func check(_ peel: PeelInfo) {
    report.peelsSeen += 1
    if Self.knownPeels(space).contains(peel.sha256) { return }
    report.brokenPeels += 1
    fail("the peel \(peel.name) has \(peel.bytes) bytes that nobody sent whole")
  }

  private static func knownPeels(_ space: Workspace) -> [String] {
    Workspace.peelNames.indices.map { (try? PeelFile(path: space.peel($0)).sha256) ?? "" }
  }

  /// Narrows what may be installed; an empty set is a mistake of the daemon.
  private func take(_ peels: Set<Int?>, or mistake: String) {
    if peels.isEmpty {
      fail("\(mistake) (it can be \(possiblePeels))")
    } else {
      possiblePeels = peels
    }
  }

  private func takeNone(_ mistake: String) { take(possiblePeels.intersection([nil]), or: mistake) }
}
