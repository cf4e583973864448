// Widening multiplies: two products of at most 127 * 127 fit in 16 bits, then pairs are added up
// in 32. Each output's sum lies in two neighbouring lanes until the end.
#include "../common/targets.h"
#if BANANA_ARM
#define BANANA_SET neon
#include "../common/epilogue.h"
#define ROW_LIMIT(blocks) 2
#define BLOCK_LIMIT 1
#include "region.h"
#include "neon_join.h"

INLINE void accumulate(int rows, int blocks, const int8_tile *tile, i32x16 out[8][4]) {
  int32x4_t acc[2][8];
  (void)blocks;
  UNROLL for (int i = 0; i < rows; i++) {
    UNROLL for (int j = 0; j < 8; j++) acc[i][j] = vdupq_n_s32(0);
  }
  const int8_t *w = tile->w;
  for (int32_t s = 0; s < tile->segments; s++) {
    for (ptrdiff_t k = 0; k < (ptrdiff_t)tile->quads * 4; k += 4) {
      int8x8_t a[2];
      UNROLL for (int i = 0; i < rows; i++) {
        int32_t quad;
        memcpy(&quad, tile->a[i] + s * tile->segment_stride + k, 4);
        a[i] = vreinterpret_s8_s32(vdup_n_s32(quad));
      }
      UNROLL for (int j = 0; j < 8; j++) {
        const int8x8_t weights = vld1_s8(w + 8 * j);
        UNROLL for (int i = 0; i < rows; i++) {
          acc[i][j] = vpadalq_s16(acc[i][j], vmull_s8(weights, a[i]));
        }
      }
      w += 64;
    }
  }
  UNROLL for (int i = 0; i < rows; i++) {
    out[i][0] = joined(vpaddq_s32(acc[i][0], acc[i][1]), vpaddq_s32(acc[i][2], acc[i][3]),
                       vpaddq_s32(acc[i][4], acc[i][5]), vpaddq_s32(acc[i][6], acc[i][7])) +
                *(const i32x16u *)tile->initial;
  }
}
#endif
