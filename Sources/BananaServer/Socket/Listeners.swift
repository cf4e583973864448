/// The daemon's sockets.
package struct Listeners: Sendable {
  /// For apps.
  package let app: Listener
  /// For whoever runs the machine.
  package let admin: Listener?

  /// Adopts the sockets that the service manager hands over, by their `FileDescriptorName=`, and
  /// makes the others.
  /// - Parameters:
  ///   - path: Of the socket for apps, mode 0660.
  ///   - adminPath: Of the admin socket, mode 0600; nil makes none.
  package static func open(
    path: String, adminPath: String?
  ) throws(ListenerError) -> Listeners {
    let activated = try SocketActivation.adopt()
    let app =
      if let socket = activated.app { Listener(adopting: socket) } else {
        try Listener.bind(path: path)
      }
    if let socket = activated.admin {
      return Listeners(app: app, admin: Listener(adopting: socket))
    }
    guard let adminPath else { return Listeners(app: app, admin: nil) }
    do throws(ListenerError) {
      return Listeners(
        app: app, admin: try Listener.bind(path: adminPath, mode: Listener.ownerMode))
    } catch {
      app.removeFile()
      throw error
    }
  }
}
