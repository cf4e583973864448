// smmla: a 2x8 by 8x2 product. Zipping two neighbouring quads of the blocks puts eight inputs of
// two outputs side by side; the odd quad at the end of a segment is met with zeros.
#include "../common/targets.h"
#if BANANA_ARM
BANANA_TARGET_I8MM
#define BANANA_SET i8mm
#include "../common/epilogue.h"
#define ROW_LIMIT(blocks) 4
#define BLOCK_LIMIT 1
#include "region.h"
#include "neon_join.h"

INLINE int8x16_t row_pair(const uint8_t *first, const uint8_t *second, bool whole) {
  if (whole) {
    return vcombine_s8(vld1_s8((const int8_t *)first), vld1_s8((const int8_t *)second));
  }
  int32_t a, b;
  memcpy(&a, first, 4);
  memcpy(&b, second, 4);
  return vreinterpretq_s8_s32((int32x4_t){a, 0, b, 0});
}

INLINE void octet_step(int pairs, int32x4_t acc[2][8], const int8_t *w, const uint8_t *const *a,
                       ptrdiff_t k, bool whole) {
  int8x16_t activations[2];
  UNROLL for (int i = 0; i < pairs; i++) {
    activations[i] = row_pair(a[2 * i] + k, a[2 * i + 1] + k, whole);
  }
  UNROLL for (int j = 0; j < 4; j++) {
    const int32x4_t even = vreinterpretq_s32_s8(vld1q_s8(w + 16 * j));
    const int32x4_t odd =
        whole ? vreinterpretq_s32_s8(vld1q_s8(w + 64 + 16 * j)) : vdupq_n_s32(0);
    const int8x16_t low = vreinterpretq_s8_s32(vzip1q_s32(even, odd));
    const int8x16_t high = vreinterpretq_s8_s32(vzip2q_s32(even, odd));
    UNROLL for (int i = 0; i < pairs; i++) {
      acc[i][2 * j] = vmmlaq_s32(acc[i][2 * j], activations[i], low);
      acc[i][2 * j + 1] = vmmlaq_s32(acc[i][2 * j + 1], activations[i], high);
    }
  }
}

INLINE int32x4_t row_of(int32x4_t a, int32x4_t b, int second) {
  const int64x2_t x = vreinterpretq_s64_s32(a), y = vreinterpretq_s64_s32(b);
  return vreinterpretq_s32_s64(second ? vzip2q_s64(x, y) : vzip1q_s64(x, y));
}

INLINE void accumulate(int rows, int blocks, const int8_tile *tile, i32x16 out[8][4]) {
  int32x4_t acc[2][8];
  const uint8_t *a[4];
  const int pairs = (rows + 1) / 2;
  (void)blocks;
  UNROLL for (int i = 0; i < pairs; i++) {
    UNROLL for (int j = 0; j < 8; j++) acc[i][j] = vdupq_n_s32(0);
  }
  // A lone last row is multiplied twice; its second product is not used.
  UNROLL for (int i = 0; i < 2 * pairs; i++) a[i] = tile->a[i < rows ? i : rows - 1];
  const int8_t *w = tile->w;
  for (int32_t s = 0; s < tile->segments; s++) {
    const ptrdiff_t end = (ptrdiff_t)tile->quads * 4;
    ptrdiff_t k = 0;
    for (; k + 8 <= end; k += 8, w += 128) octet_step(pairs, acc, w, a, k, true);
    if (k < end) {
      octet_step(pairs, acc, w, a, k, false);
      w += 64;
    }
    UNROLL for (int i = 0; i < 2 * pairs; i++) a[i] += tile->segment_stride;
  }
  UNROLL for (int i = 0; i < rows; i++) {
    const int32x4_t *c = acc[i / 2];
    out[i][0] = joined(row_of(c[0], c[1], i & 1), row_of(c[2], c[3], i & 1),
                       row_of(c[4], c[5], i & 1), row_of(c[6], c[7], i & 1)) +
                *(const i32x16u *)tile->initial;
  }
}
BANANA_TARGET_END
#endif
