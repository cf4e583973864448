// y = x W^T in f32 with weights in n16 blocks. The including file defines
//   ROW_LIMIT(blocks), BLOCK_LIMIT (at most 3)   the widest tile whose accumulators fit registers.

typedef struct {
  const float *a[8];
  const float *w;
  ptrdiff_t w_stride;  // floats between blocks
  int32_t segments;
  int32_t length;
  ptrdiff_t segment_stride;
} f32_tile;

INLINE void accumulate(int rows, int blocks, const f32_tile *tile, f32x16 out[8][3]) {
  f32x16 acc[8][3];
  const float *a[8];
  UNROLL for (int i = 0; i < rows; i++) {
    UNROLL for (int j = 0; j < blocks; j++) acc[i][j] = splat(0);
    a[i] = tile->a[i];
  }
  const float *w = tile->w;
  for (int32_t s = 0; s < tile->segments; s++) {
    for (ptrdiff_t k = 0; k < tile->length; k++) {
      f32x16 weights[3];
      UNROLL for (int j = 0; j < blocks; j++) weights[j] = load(w + j * tile->w_stride);
      UNROLL for (int i = 0; i < rows; i++) {
        const f32x16 x = splat(a[i][k]);
        UNROLL for (int j = 0; j < blocks; j++) acc[i][j] = acc[i][j] + x * weights[j];
      }
      w += 16;
    }
    UNROLL for (int i = 0; i < rows; i++) a[i] += tile->segment_stride;
  }
  UNROLL for (int i = 0; i < rows; i++) {
    UNROLL for (int j = 0; j < blocks; j++) out[i][j] = acc[i][j];
  }
}

#define F32_CASE(rows, blocks)                                           \
  case rows:                                                             \
    accumulate(rows <= ROW_LIMIT(blocks) ? rows : 1, blocks, tile, out); \
    return;
#define F32_ROWS(blocks)                                                                 \
  static __attribute__((noinline)) void f32_rows_##blocks(int rows, const f32_tile *tile, \
                                                          f32x16 out[8][3]) {            \
    switch (rows) {                                                                      \
      F32_CASE(1, blocks) F32_CASE(2, blocks) F32_CASE(3, blocks) F32_CASE(4, blocks)    \
      F32_CASE(5, blocks) F32_CASE(6, blocks) F32_CASE(7, blocks) F32_CASE(8, blocks)    \
    }                                                                                    \
  }
F32_ROWS(1)
#if BLOCK_LIMIT >= 3
F32_ROWS(2)
F32_ROWS(3)
#endif

INLINE void f32_rows(int rows, int blocks, const f32_tile *tile, f32x16 out[8][3]) {
  switch (blocks) {
#if BLOCK_LIMIT >= 3
    case 3:
      f32_rows_3(rows, tile, out);
      return;
    case 2:
      f32_rows_2(rows, tile, out);
      return;
#endif
    default:
      f32_rows_1(rows, tile, out);
  }
}
