// The loops of linear_int4 around an instruction set's inner product. The including file defines
//   ROW_LIMIT                                     the rows of the widest tile (at most 8),
//   accumulate(rows, unpacked, tile, out)         out[i] = sum over groups(scale * partial),
//                                                 nibbles from tile->nibbles if unpacked
//   unpack_quad(q, nibbles)                       32 bytes of a record to 64, a byte a weight
typedef struct {
  const int8_t *a[8];  // the rows
  const int32_t *sums[8];  // -8 times each group's sum of activations
  const uint8_t *w;  // the block's first record
  const uint8_t *nibbles;  // the block's weights, a byte each, if they have been unpacked
  int32_t groups;
  int32_t quads;  // a group's inputs / 4
} int4_tile;

INLINE void accumulate(int rows, bool unpacked, const int4_tile *tile, f32x16 out[8]);
INLINE void unpack_quad(const uint8_t *q, uint8_t *nibbles);

static __attribute__((noinline)) void int4_finish(int rows, const banana_linear_int4 *p,
                                                  int32_t row, int32_t block, f32x16 out[8]) {
  const ptrdiff_t column = (ptrdiff_t)block * 16;
  for (int i = 0; i < rows; i++) {
    const int32_t r = row + i;
    const float row_scale = p->row_scale[p->row_scale_rows == 1 ? r : r / p->row_scale_rows];
    finish(&p->epilogue, out[i] * row_scale, r, column, p->n - column);
  }
}

#define INT4_CASE(count)                                           \
  case count:                                                      \
    accumulate(count <= ROW_LIMIT ? count : 1, UNPACKED, tile, out); \
    return;
#define INT4_ROWS(name)                                                                     \
  static __attribute__((noinline)) void name(int rows, const int4_tile *tile, f32x16 out[8]) { \
    switch (rows) {                                                                         \
      INT4_CASE(1) INT4_CASE(2) INT4_CASE(3) INT4_CASE(4)                                   \
      INT4_CASE(5) INT4_CASE(6) INT4_CASE(7) INT4_CASE(8)                                   \
    }                                                                                       \
  }
#define UNPACKED false
INT4_ROWS(int4_rows)
#undef UNPACKED
#define UNPACKED true
INT4_ROWS(int4_rows_unpacked)
#undef UNPACKED

// Weights that are unpacked once for many rows stay in the nearest cache: 2,048 inputs at most.
#define UNPACKED_LIMIT (2048 * 16)

static void unpack_block(const int4_tile *tile, uint8_t *nibbles) {
  const uint8_t *w = tile->w;
  for (int32_t g = 0; g < tile->groups; g++) {
    w += 32;
    for (int32_t q = 0; q < tile->quads; q++, w += 32, nibbles += 64) unpack_quad(w, nibbles);
  }
}

// The 16 scales at the start of a record.
INLINE f32x16 record_scales(const uint8_t *record) { return widen_f16(*(const u16x16u *)record); }

void BANANA_NAME(linear_int4)(const banana_linear_int4 *p, int32_t row0, int32_t row1,
                              int32_t block0, int32_t block1) {
  int4_tile tile;
  f32x16 out[8];
  tile.groups = p->groups;
  tile.quads = p->group / 4;
  _Alignas(64) uint8_t nibbles[UNPACKED_LIMIT];
  const bool unpacks =
      row1 - row0 > 2 * ROW_LIMIT && p->groups * p->group * 16 <= UNPACKED_LIMIT;
  tile.nibbles = nibbles;
  const ptrdiff_t block_bytes = (ptrdiff_t)p->groups * (32 + 8 * p->group);
  for (int32_t block = block0; block < block1; block++) {
    tile.w = p->w + block * block_bytes;
    if (unpacks) unpack_block(&tile, nibbles);
    for (int32_t row = row0, rows; row < row1; row += rows) {
      rows = balanced_step(row1 - row, ROW_LIMIT);
      for (int i = 0; i < rows; i++) {
        tile.a[i] = p->a + (row + i) * p->row_stride;
        tile.sums[i] = p->group_sums + (ptrdiff_t)(row + i) * p->groups;
      }
      if (unpacks) {
        int4_rows_unpacked(rows, &tile, out);
      } else {
        int4_rows(rows, &tile, out);
      }
      int4_finish(rows, p, row, block, out);
    }
  }
}
