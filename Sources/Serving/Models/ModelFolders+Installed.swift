package import BananaAPI
import Weights

extension ModelFolders {
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
        guard let file = FileStamp(path: package + "/model.json") else { continue }
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
}
