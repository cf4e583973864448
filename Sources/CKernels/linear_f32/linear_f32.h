#include "../common/epilogue.h"
#include "region.h"

static __attribute__((noinline)) void f32_finish(int rows, int blocks, const banana_linear_f32 *p,
                                                 int32_t row, int32_t block, f32x16 out[8][3]) {
  for (int j = 0; j < blocks; j++) {
    const ptrdiff_t column = ((ptrdiff_t)block + j) * 16;
    for (int i = 0; i < rows; i++) finish(&p->epilogue, out[i][j], row + i, column, p->n - column);
  }
}

void BANANA_NAME(linear_f32)(const banana_linear_f32 *p, int32_t row0, int32_t row1,
                             int32_t block0, int32_t block1) {
  f32_tile tile;
  f32x16 out[8][3];
  tile.segments = p->rows.segments;
  tile.length = p->rows.segment_length;
  tile.segment_stride = p->rows.segment_stride;
  tile.w_stride = (ptrdiff_t)tile.segments * tile.length * 16;
  for (int32_t block = block0, blocks; block < block1; block += blocks) {
    blocks = balanced_step(block1 - block, BLOCK_LIMIT);
    tile.w = p->w + block * tile.w_stride;
    for (int32_t row = row0, rows; row < row1; row += rows) {
      rows = balanced_step(row1 - row, ROW_LIMIT(blocks));
      for (int i = 0; i < rows; i++) tile.a[i] = p->a + row_offset(&p->rows, row + i);
      f32_rows(rows, blocks, &tile, out);
      f32_finish(rows, blocks, p, row, block, out);
    }
  }
}
