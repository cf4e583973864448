import BananaAPI
import NIOHTTP1

/// Keeps pages in browsers from using the daemon, for when a port is put in front of its socket.
///
/// A page of another origin says so in `Origin` or `Sec-Fetch-Site`. One that has its own name
/// point at this machine (DNS rebinding) has that name in `Host`: a name of the public Internet is
/// nobody's who may be here.
enum HostRules {
  /// Names that never leave the machine or its network (RFC 6761, RFC 6762, RFC 8375 and the
  /// root's `internal`); `sock` and names without a dot are what clients of Unix sockets make up.
  private static let localSuffixes = [
    ".localhost", ".local", ".lan", ".internal", ".home.arpa", ".sock",
  ]

  static func check(_ head: HTTPRequestHead) throws(APIError) {
    let hosts = head.headers["host"]
    guard hosts.count <= 1, hosts.count == 1 || head.version == .http1_0 else {
      throw APIError(
        .invalidRequest, "The request has \(hosts.count) Host lines. Send one, such as localhost.")
    }
    let host = hosts.first ?? ""
    try check(host[...])
    if let authority = authority(of: head.uri[...]) {
      try check(authority.drop { $0 != "/" }.dropFirst(2))
    }
    for origin in head.headers["origin"] {
      let own = ["http://\(host)", "https://\(host)"].map { $0.lowercased() }
      guard own.contains(origin.lowercased()) else {
        throw forbidden("a page of \(origin.cut(128))")
      }
    }
    for site in head.headers["sec-fetch-site"] {
      guard ["same-origin", "none"].contains(site.lowercased()) else {
        throw forbidden("a page of another site (\(site.cut(32)))")
      }
    }
  }

  /// `http://host:port` at the beginning of a request's target; nil where that is only a path.
  static func authority(of target: Substring) -> Substring? {
    for scheme in ["http://", "https://"]
    where target.utf8.prefix(scheme.utf8.count).elementsEqual(scheme.utf8, by: { $0 | 0x20 == $1 })
    {
      let rest = target.utf8.dropFirst(scheme.utf8.count)
      let end = rest.firstIndex { "/?#".utf8.contains($0) } ?? rest.endIndex
      return target[..<end]
    }
    return nil
  }

  private static func check(_ host: Substring) throws(APIError) {
    let allowed = "-._~%:[]"
    guard host.utf8.count <= 255,
      host.utf8.allSatisfy({
        0x30...0x39 ~= $0 || 0x61...0x7A ~= ($0 | 0x20) || allowed.utf8.contains($0)
      })
    else {
      throw APIError(
        .invalidRequest, "Host is \"\(host.cut(64))\", which no host is called. Send localhost.")
    }
    guard isLocal(host) else {
      throw APIError(
        .forbidden,
        "Host is \"\(host.cut(64))\", which is no name of this machine. Send localhost, or an "
          + "address.")
    }
  }

  private static func isLocal(_ host: Substring) -> Bool {
    if host.first == "[" { return true }
    var name = host.prefix { $0 != ":" }.lowercased()
    if name.last == "." { name.removeLast() }
    if !name.contains(".") || name.contains("%") { return true }
    // Digits at the end are an IPv4 address: no top level is called so.
    if name.split(separator: ".").last?.allSatisfy(\.isNumber) == true { return true }
    return localSuffixes.contains { name.hasSuffix($0) }
  }

  private static func forbidden(_ who: String) -> APIError {
    APIError(
      .forbidden,
      "\(who.prefix(1).uppercased() + who.dropFirst()) asks, and pages in browsers may not use "
        + "bananad. Ask from a program, or through a server of the page's own.")
  }
}
