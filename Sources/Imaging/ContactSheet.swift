extension Pixels {
  /// Lays pictures out in a grid, row by row, each over `background` in a cell as large as the
  /// largest of them, with a gap of `spacing` pixels between cells and around them.
  /// - Precondition: There is a picture, `columns` is positive and `spacing` is not negative.
  package static func contactSheet(
    columns: Int, cells: [Pixels], spacing: Int = 8, background: Color = .white
  ) -> Pixels {
    precondition(!cells.isEmpty && columns > 0 && spacing >= 0)
    let cellWidth = cells.map(\.width).max()!
    let cellHeight = cells.map(\.height).max()!
    let across = min(columns, cells.count)
    let down = (cells.count + across - 1) / across
    var sheet = Pixels(
      width: across * (cellWidth + spacing) + spacing,
      height: down * (cellHeight + spacing) + spacing, filledWith: background)
    for (index, cell) in cells.enumerated() {
      let left = spacing + index % across * (cellWidth + spacing)
      let top = spacing + index / across * (cellHeight + spacing)
      let flat = PremultipliedImage(cell).composited(on: background).pixels()
      for y in 0..<cell.height {
        let from = y * cell.width * 4
        let to = ((top + y) * sheet.width + left) * 4
        sheet.bytes.replaceSubrange(
          to..<to + cell.width * 4, with: flat.bytes[from..<from + cell.width * 4])
      }
    }
    return sheet
  }
}
