import FoundationEssentials
import Weights

/// The folders in which models are looked for.
package struct ModelFolders: Sendable, Equatable {
  /// Of two models of one name, that of the folder that comes first is taken.
  package var paths: [String]

  package init(_ paths: [String]) {
    self.paths = paths
  }

  /// Where models are when nobody says so.
  /// - Parameters:
  ///   - environment: Of a user's daemon; empty for the system's.
  ///   - home: Nil for a user without one, and for the system's daemon.
  ///   - shipped: Where those are that came with Banana.
  package static func standard(
    environment: [String: String], home: String?, shipped: [String]
  ) -> ModelFolders {
    var paths: [String] = []
    // What is not absolute does not count, says the XDG base directory specification.
    if let data = environment["XDG_DATA_HOME"], data.hasPrefix("/") {
      paths.append(data + "/banana/models")
    } else if let home, home.hasPrefix("/"), home != "/" {
      paths.append(home + "/.local/share/banana/models")
    }
    return ModelFolders(paths + ["/var/lib/banana/models"] + shipped)
  }

  /// Every package, by name; each has a name of its own.
  package func models() -> [InstalledModel] {
    var usable: [String: InstalledModel] = [:]
    var faulty: [InstalledModel] = []
    for path in paths {
      var ofFolder: [String: InstalledModel] = [:]
      for package in Self.packages(in: path) {
        var model = InstalledModel(folder: package)
        if model.fault == nil, let other = ofFolder[model.name] {
          model.fault = .sameName(model.name, path: package, other: other.path)
          model.name = InstalledModel.name(ofFolder: package)
        }
        if model.fault == nil {
          ofFolder[model.name] = model
        } else {
          faulty.append(model)
        }
      }
      usable.merge(ofFolder) { first, _ in first }
    }
    var names = Set(usable.keys)
    for var model in faulty {
      // What cannot be used hides nothing that can.
      if !names.insert(model.name).inserted { model.name = model.path }
      usable[model.name] = model
      names.insert(model.name)
    }
    return usable.values.sorted { $0.name < $1.name }
  }

  /// What `models` depends on, as the kernel tells it: no file is opened.
  ///
  /// Folders are looked at when somebody asks what there is, or for a model that is not open. That
  /// is some calls of the kernel, where watches (inotify) would have to follow folders that are not
  /// there yet, are replaced, or are on another machine that tells nothing.
  /// - Returns: Nil while something is so new that it may change again without showing it.
  package func stamp() -> Stamp? {
    var stamp = Stamp()
    let now = Int64(UnixTime.now)
    for path in paths {
      for package in Self.packages(in: path) {
        guard let file = FileStamp(path: Self.manifest(of: package)) else { continue }
        // Some filesystems count in steps of two seconds.
        if file.changedNanoseconds / 1_000_000_000 >= now - 2 { return nil }
        stamp.manifests[package] = file
      }
    }
    return stamp
  }

  /// The `model.json` of every package.
  package struct Stamp: Sendable, Equatable {
    fileprivate var manifests: [String: FileStamp] = [:]
  }

  /// The packages in a folder, or the one that it is. Hidden ones are not finished.
  private static func packages(in path: String) -> [String] {
    let files = FileManager.default
    if files.fileExists(atPath: manifest(of: path)) { return [path] }
    return ((try? files.contentsOfDirectory(atPath: path)) ?? []).sorted()
      .filter { !$0.hasPrefix(".") }.map { "\(path)/\($0)" }
      .filter { files.fileExists(atPath: manifest(of: $0)) }
  }

  private static func manifest(of package: String) -> String { package + "/model.json" }
}

extension ModelFolders: CustomStringConvertible {
  package var description: String { paths.joined(separator: " or ") }
}
