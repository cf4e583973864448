private import CSystemd

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The service manager's socket activation (`sd_listen_fds_with_names(3)`): the socket for admins
/// is called `admin` by its unit; another is for apps.
enum SocketActivation {
  struct Activated {
    var descriptor: Int32
    var path: String
  }

  private static let firstDescriptor: Int32 = 3
  private static let adminName = "admin"

  /// The sockets that are handed over; none when this process was started without.
  static func adopt() throws(ListenerError) -> (app: Activated?, admin: Activated?) {
    var list: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?
    let count = banana_sd_listen_fds(&list)
    guard count >= 0 else {
      throw .badActivation(reason: "LISTEN_FDS: \(String(cString: strerror(-count)))")
    }
    guard count > 0, let list else { return (nil, nil) }
    let names = (0..<Int(count)).map { index in
      defer { free(list[index]) }
      return list[index].map { String(cString: $0) } ?? ""
    }
    free(list)
    let admins = names.indices.filter { names[$0] == adminName }
    let apps = names.indices.filter { names[$0] != adminName }
    guard admins.count <= 1, apps.count <= 1 else {
      throw .badActivation(reason: "\(count) sockets were handed over")
    }
    return (try apps.first.map(adopt), try admins.first.map(adopt))
  }

  private static func adopt(_ index: Int) throws(ListenerError) -> Activated {
    let descriptor = firstDescriptor + Int32(index)
    guard banana_sd_is_listening(descriptor) > 0,
      let path = path(of: descriptor)
    else {
      throw .badActivation(reason: "descriptor \(descriptor) is no listening Unix socket")
    }
    _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
    return Activated(descriptor: descriptor, path: path)
  }

  private static func path(of descriptor: Int32) -> String? {
    var address = sockaddr_un()
    var length = socklen_t(MemoryLayout<sockaddr_un>.size)
    let result = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        getsockname(descriptor, $0, &length)
      }
    }
    guard result == 0, address.sun_family == sa_family_t(AF_UNIX) else { return nil }
    return withUnsafeBytes(of: address.sun_path) { bytes in
      String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
  }
}
