// sdot on the nibbles as they are stored: 0...15 fits a signed byte.
#include "../common/targets.h"
#if BANANA_ARM
BANANA_TARGET_DOTPROD
#define BANANA_SET dotprod
#include "../common/epilogue.h"
#define ROW_LIMIT 4
#include "region.h"
#include "../linear_int8/neon_join.h"

INLINE void unpack_half(const uint8_t *q, int8x16_t out[2]) {
  const uint8x16_t bytes = vld1q_u8(q);
  const uint8x16_t low = vandq_u8(bytes, vdupq_n_u8(15)), high = vshrq_n_u8(bytes, 4);
  out[0] = vreinterpretq_s8_u8(vzip1q_u8(low, high));
  out[1] = vreinterpretq_s8_u8(vzip2q_u8(low, high));
}

INLINE void unpack_quad(const uint8_t *q, uint8_t *n) {
  for (int half = 0; half < 2; half++) {
    int8x16_t out[2];
    unpack_half(q + 16 * half, out);
    vst1q_s8((int8_t *)n + 32 * half, out[0]);
    vst1q_s8((int8_t *)n + 32 * half + 16, out[1]);
  }
}

INLINE void accumulate(int rows, bool unpacked, const int4_tile *tile, f32x16 out[8]) {
  const uint8_t *n = tile->nibbles;
  f32x16 total[8];
  const uint8_t *w = tile->w;
  UNROLL for (int i = 0; i < rows; i++) total[i] = splat(0);
  for (int32_t g = 0; g < tile->groups; g++) {
    int32x4_t part[4][4];
    const uint8_t *scales = w;
    const ptrdiff_t k0 = (ptrdiff_t)g * tile->quads * 4;
    w += 32;
    UNROLL for (int i = 0; i < rows; i++) {
      UNROLL for (int j = 0; j < 4; j++) part[i][j] = vdupq_n_s32(tile->sums[i][g]);
    }
    for (ptrdiff_t k = k0; k < k0 + tile->quads * 4; k += 4) {
      int8x16_t activations[4];
      UNROLL for (int i = 0; i < rows; i++) {
        int32_t quad;
        memcpy(&quad, tile->a[i] + k, 4);
        activations[i] = vreinterpretq_s8_s32(vdupq_n_s32(quad));
      }
      UNROLL for (int half = 0; half < 2; half++) {
        int8x16_t weights[2];
        if (unpacked) {
          weights[0] = vld1q_s8((const int8_t *)n + 32 * half);
          weights[1] = vld1q_s8((const int8_t *)n + 32 * half + 16);
        } else {
          unpack_half(w + 16 * half, weights);
        }
        UNROLL for (int i = 0; i < rows; i++) {
          part[i][2 * half] = vdotq_s32(part[i][2 * half], weights[0], activations[i]);
          part[i][2 * half + 1] = vdotq_s32(part[i][2 * half + 1], weights[1], activations[i]);
        }
      }
      w += 32, n += 64;
    }
    const f32x16 scale = record_scales(scales);
    UNROLL for (int i = 0; i < rows; i++) {
      total[i] = total[i] +
                 to_float(joined(part[i][0], part[i][1], part[i][2], part[i][3])) * scale;
    }
  }
  UNROLL for (int i = 0; i < rows; i++) out[i] = total[i];
}
BANANA_TARGET_END
#endif
