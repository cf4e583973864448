// Plain C on vectors of 16; also what the other levels are tested against on every machine.
#include "../common/targets.h"
#define BANANA_SET portable
#include "../common/epilogue.h"
#define ROW_LIMIT(blocks) 2
#define BLOCK_LIMIT 1
#include "region.h"

INLINE void accumulate(int rows, int blocks, const int8_tile *tile, i32x16 out[8][4]) {
  i32x16 acc[8];
  (void)blocks;
  UNROLL for (int i = 0; i < rows; i++) acc[i] = *(const i32x16u *)tile->initial;
  const int8_t *w = tile->w;
  for (int32_t s = 0; s < tile->segments; s++) {
    for (ptrdiff_t k = 0; k < (ptrdiff_t)tile->quads * 4; k += 4) {
      const i32x16 v = *(const i32x16u *)w;
      const i32x16 w0 = (v << 24) >> 24, w1 = (v << 16) >> 24, w2 = (v << 8) >> 24, w3 = v >> 24;
      UNROLL for (int i = 0; i < rows; i++) {
        const int8_t *a = (const int8_t *)tile->a[i] + s * tile->segment_stride + k;
        acc[i] += w0 * a[0] + w1 * a[1] + w2 * a[2] + w3 * a[3];
      }
      w += 64;
    }
  }
  UNROLL for (int i = 0; i < rows; i++) out[i][0] = acc[i];
}
