import Weights

/// What a file is by its first bytes, whatever it is called.
enum FileKind {
  /// Maps and checks a `.safetensors` file.
  /// - Throws: `ImportError`, which says what a file of another kind is.
  static func openSafetensors(_ path: String) throws(ImportError) -> SafetensorsFile {
    let file: MappedFile
    do throws(FileError) {
      file = try MappedFile(path: path, mapsAnyones: true)
    } catch { throw .file(error) }
    return try openSafetensors(file)
  }

  static func openSafetensors(_ file: MappedFile) throws(ImportError) -> SafetensorsFile {
    if let (what, remedy) = withExtendedLifetime(file, { otherKind(file.bytes) }) {
      throw .otherKind(path: file.path, what: what, remedy: remedy)
    }
    do throws(SafetensorsError) { return try SafetensorsFile(file: file) } catch {
      throw .safetensors(error)
    }
  }

  private static func otherKind(
    _ bytes: UnsafeRawBufferPointer
  ) -> (what: String, remedy: String)? {
    let start = Array(bytes.prefix(32))
    func begins(_ text: String) -> Bool { start.starts(with: text.utf8) }
    let pickle =
      "such files can run programs of their maker, and are not read. Get the "
      + "checkpoint as .safetensors, or convert it where you trust it."
    if start.isEmpty { return ("empty", "Get the file again.") }
    if begins("PK\u{3}\u{4}") {
      return (
        "a zip archive: a checkpoint as PyTorch saves it (.ckpt, .pt, .bin), or a packed "
          + "folder", "The former: " + pickle + " The latter: unpack it and give the folder."
      )
    }
    if start[0] == 0x80, start.count > 1, 2...5 ~= start[1] {
      return (
        "a pickle: a checkpoint as PyTorch saves it (.ckpt, .pt, .bin)",
        "Do not open it: " + pickle
      )
    }
    if begins("GGUF") {
      return (
        "a GGUF file of another program, quantized already",
        "Get the checkpoint as .safetensors: it is quantized here."
      )
    }
    if begins("<!DOC") || begins("<html") || begins("<?xml") {
      return (
        "a web page: the download did not give the file",
        "Get it again; some sites want a login first."
      )
    }
    if begins("version https://git") {
      return ("a pointer of git-lfs in place of the file", "Fetch it with git lfs pull.")
    }
    return nil
  }
}
