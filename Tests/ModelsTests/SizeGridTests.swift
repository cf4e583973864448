import Models
import Testing

/// Sizes as people are told of them, and the nearest of them.
@Suite struct SizeGridTests {
  private func grid(_ sides: [Int]) -> [PictureSize] {
    sides.flatMap { width in sides.map { PictureSize(width: width, height: $0) } }
  }

  private let many = Array(stride(from: 256, through: 1024, by: 64))

  @Test func manySizesAreTold() {
    let rule = SizeGrid(grid(many))
    #expect(rule?.multiple == 64 && rule?.sides == 256...1024)
    #expect(grid(many).words == "every multiple of 64 from 256 to 1024 on each side")
    // One that it was trained with may be beside them.
    let native = PictureSize(width: 1280, height: 1280)
    #expect(SizeGrid(grid(many) + [native]) == rule)
  }

  @Test func othersAreListed() {
    #expect(SizeGrid(grid([256, 320, 384, 448])) == nil)
    #expect(grid([32, 64]).words == "32x32, 32x64, 64x32, 64x64")
    #expect(SizeGrid(many.map { PictureSize(width: $0, height: $0) }) == nil)
    #expect(SizeGrid(Array(grid(many).dropLast())) == nil)
    #expect(SizeGrid(grid(many.filter { $0 != 512 })) == nil)
    #expect(SizeGrid(grid(many.map { $0 + 8 })) == nil)
    let beside = [1280, 1536].map { PictureSize(width: $0, height: $0) }
    #expect(SizeGrid(grid(many) + beside) == nil)
    #expect(SizeGrid([]) == nil)
  }

  @Test func theNearestHasSidesThatDifferLeast() {
    func nearest(_ width: Int, _ height: Int) -> String {
      grid(many).nearest(to: PictureSize(width: width, height: height)).description
    }
    #expect(nearest(512, 512) == "512x512" && nearest(500, 700) == "512x704")
    #expect(nearest(1, 4096) == "256x1024" && nearest(.max, 1) == "1024x256")
    // Of equal ones the largest.
    #expect(grid([100, 400]).nearest(to: .init(width: 200, height: 200)).width == 400)
  }
}
