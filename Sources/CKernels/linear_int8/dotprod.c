// sdot: four outputs of four inputs each a register, the activations' quad picked by lane.
#include "../common/targets.h"
#if BANANA_ARM
BANANA_TARGET_DOTPROD
#define BANANA_SET dotprod
#include "../common/epilogue.h"
#define ROW_LIMIT(blocks) 5
#define BLOCK_LIMIT 1
#include "region.h"
#include "neon_join.h"

#define QUAD_STEP(lane)                                                          \
  UNROLL for (int j = 0; j < 4; j++) {                                           \
    const int8x16_t weights = vld1q_s8(w + 64 * lane + 16 * j);                  \
    UNROLL for (int i = 0; i < rows; i++) {                                      \
      acc[i][j] = vdotq_laneq_s32(acc[i][j], weights, activations[i], lane);     \
    }                                                                            \
  }

INLINE void accumulate(int rows, int blocks, const int8_tile *tile, i32x16 out[8][4]) {
  int32x4_t acc[5][4];
  (void)blocks;
  UNROLL for (int i = 0; i < rows; i++) {
    UNROLL for (int j = 0; j < 4; j++) acc[i][j] = vdupq_n_s32(0);
  }
  const int8_t *w = tile->w;
  for (int32_t s = 0; s < tile->segments; s++) {
    const ptrdiff_t base = s * tile->segment_stride, end = (ptrdiff_t)tile->quads * 4;
    ptrdiff_t k = 0;
    int8x16_t activations[5];
    for (; k + 16 <= end; k += 16) {
      UNROLL for (int i = 0; i < rows; i++) {
        activations[i] = vld1q_s8((const int8_t *)tile->a[i] + base + k);
      }
      QUAD_STEP(0) QUAD_STEP(1) QUAD_STEP(2) QUAD_STEP(3)
      w += 256;
    }
    for (; k < end; k += 4) {
      UNROLL for (int i = 0; i < rows; i++) {
        int32_t quad;
        memcpy(&quad, tile->a[i] + base + k, 4);
        activations[i] = vreinterpretq_s8_s32(vdupq_n_s32(quad));
      }
      QUAD_STEP(0)
      w += 64;
    }
  }
  UNROLL for (int i = 0; i < rows; i++) {
    out[i][0] = joined(acc[i][0], acc[i][1], acc[i][2], acc[i][3]) +
                *(const i32x16u *)tile->initial;
  }
}
BANANA_TARGET_END
#endif
