// The loops of linear_int8 around an instruction set's inner product. The including file defines
//   ROW_LIMIT(blocks)  the rows of the widest tile with that many blocks,
//   BLOCK_LIMIT        the blocks of the widest tile (at most 4),
//   accumulate(rows, blocks, tile, out)
// The tile's sizes are constants after inlining, so its accumulators live in registers.

typedef struct {
  const uint8_t *a[8];  // the rows
  const int8_t *w;  // the first block
  ptrdiff_t w_stride;  // bytes between blocks
  const int32_t *initial;
  int32_t segments;
  int32_t quads;  // k / 4 of one segment
  ptrdiff_t segment_stride;
} int8_tile;

INLINE void accumulate(int rows, int blocks, const int8_tile *tile, i32x16 out[8][4]);

// Takes a tile from its accumulators to memory. Not inlined: it is long, and called once a tile.
static __attribute__((noinline)) void int8_finish(int rows, int blocks,
                                                  const banana_linear_int8 *p, int32_t row,
                                                  int32_t block, i32x16 out[8][4]) {
  const banana_epilogue *e = &p->epilogue;
  const bool is_plain = !e->inner && !e->gate && e->activation == BANANA_ACTIVATION_NONE;
  float scales[8];
  for (int i = 0; i < rows; i++) {
    const int32_t r = row + i;
    scales[i] = p->row_scale[p->row_scale_rows == 1 ? r : r / p->row_scale_rows];
  }
  for (int j = 0; j < blocks; j++) {
    const ptrdiff_t column = ((ptrdiff_t)block + j) * 16, count = p->n - column;
    const f32x16 w_scale = load_partial(p->w_scale + column, count);
    if (is_plain && count >= 16) {
      const f32x16 bias = e->bias ? load(e->bias + column) : splat(0);
      float *y = e->y + row * e->y_stride + column;
      const float *residual = e->residual ? e->residual + row * e->residual_stride + column : NULL;
      for (int i = 0; i < rows; i++) {
        f32x16 v = to_float(out[i][j]) * (w_scale * scales[i]);
        v = v + bias;
        if (residual) v = v + load(residual + i * e->residual_stride);
        store(y + i * e->y_stride, v);
      }
    } else {
      for (int i = 0; i < rows; i++) {
        finish(e, to_float(out[i][j]) * (w_scale * scales[i]), row + i, column, count);
      }
    }
  }
}

#define INT8_CASE(rows, blocks)                                             \
  case rows:                                                                \
    accumulate(rows <= ROW_LIMIT(blocks) ? rows : 1, blocks, tile, out);    \
    return;
#define INT8_ROWS(blocks)                                                                 \
  static __attribute__((noinline)) void int8_rows_##blocks(int rows, const int8_tile *tile, \
                                                           i32x16 out[8][4]) {            \
    switch (rows) {                                                                       \
      INT8_CASE(1, blocks) INT8_CASE(2, blocks) INT8_CASE(3, blocks) INT8_CASE(4, blocks) \
      INT8_CASE(5, blocks) INT8_CASE(6, blocks) INT8_CASE(7, blocks) INT8_CASE(8, blocks) \
    }                                                                                     \
  }
INT8_ROWS(1)
#if BLOCK_LIMIT >= 2
INT8_ROWS(2)
#endif
#if BLOCK_LIMIT >= 4
INT8_ROWS(3)
INT8_ROWS(4)
#endif

static void int8_rows(int rows, int blocks, const int8_tile *tile, i32x16 out[8][4]) {
  switch (blocks) {
    case 1:
      int8_rows_1(rows, tile, out);
      return;
#if BLOCK_LIMIT >= 2
    case 2:
      int8_rows_2(rows, tile, out);
      return;
#endif
#if BLOCK_LIMIT >= 4
    case 3:
      int8_rows_3(rows, tile, out);
      return;
    case 4:
      int8_rows_4(rows, tile, out);
      return;
#endif
  }
}

// Blocks outside, rows inside: a few blocks of weights stay in the nearest cache while the rows
// pass by.
void BANANA_NAME(linear_int8)(const banana_linear_int8 *p, int32_t row0, int32_t row1,
                              int32_t block0, int32_t block1) {
  int8_tile tile;
  i32x16 out[8][4];
  tile.segments = p->rows.segments;
  tile.quads = p->rows.segment_length / 4;
  tile.segment_stride = p->rows.segment_stride;
  tile.w_stride = (ptrdiff_t)tile.segments * tile.quads * 64;
  for (int32_t block = block0, blocks; block < block1; block += blocks) {
    blocks = balanced_step(block1 - block, BLOCK_LIMIT);
    tile.w = p->w + block * tile.w_stride;
    tile.initial = p->initial + (ptrdiff_t)block * 16;
    for (int32_t row = row0, rows; row < row1; row += rows) {
      rows = balanced_step(row1 - row, ROW_LIMIT(blocks));
      for (int i = 0; i < rows; i++) tile.a[i] = p->a + row_offset(&p->rows, row + i);
      int8_rows(rows, blocks, &tile, out);
      int8_finish(rows, blocks, p, row, block, out);
    }
  }
}

// The file's instructions multiply signed by signed: only the zero point to take back.
#ifndef ACTIVATION_OFFSET
#define ACTIVATION_OFFSET 0
#endif
void BANANA_NAME(linear_int8_initial)(const int8_t *w, int32_t n, int32_t k, int32_t zero_point,
                                      int32_t *initial) {
  const int32_t zero = ACTIVATION_OFFSET + zero_point;
  const int32_t quads = (k + 3) / 4;
  for (int32_t block = 0; block < (n + 15) / 16; block++) {
    i32x16 sum = splat_i32(0);
    if (zero) {
      const int8_t *base = w + (ptrdiff_t)block * quads * 64;
      for (int32_t q = 0; q < quads; q++) {
        const i32x16 v = *(const i32x16u *)(base + (ptrdiff_t)q * 64);
        sum += ((v << 24) >> 24) + ((v << 16) >> 24) + ((v << 8) >> 24) + (v >> 24);
      }
    }
    *(i32x16u *)(initial + (ptrdiff_t)block * 16) = sum * -zero;
  }
}
