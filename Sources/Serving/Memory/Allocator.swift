#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// glibc's malloc. Its header is in no module, and other libraries have no such calls, so they are
/// looked up by name.
package enum Allocator {
  // As malloc.h numbers them.
  private static let trimThreshold: Int32 = -1
  private static let mmapThreshold: Int32 = -3
  private static let arenas: Int32 = -8

  /// Keeps the heap from growing with the pictures that pass through it; call it first.
  ///
  /// By itself glibc makes eight heaps a processor, and pictures leave holes in all of them.
  /// Buffers up to 8 MiB, twice a picture in f32, are not mapped apart, and as much stays at a
  /// heap's end: the kernel's clearing of new pages for each would be a fifth of a picture's time.
  package static func keepSmall() {
    guard let symbol = dlsym(nil, "mallopt") else { return }
    typealias SetOption = @convention(c) (Int32, Int32) -> Int32
    let setOption = unsafeBitCast(symbol, to: SetOption.self)
    _ = setOption(mmapThreshold, 8 << 20)
    _ = setOption(trimThreshold, 8 << 20)
    _ = setOption(arenas, 2)
  }

  /// Gives back what was freed.
  static func trim() {
    guard let symbol = dlsym(nil, "malloc_trim") else { return }
    typealias Trim = @convention(c) (Int) -> Int32
    _ = unsafeBitCast(symbol, to: Trim.self)(0)
  }
}
