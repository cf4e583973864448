// Plain C on vectors of 16.
#include "../common/targets.h"
#define BANANA_SET portable
#include "../common/epilogue.h"
#define ROW_LIMIT 2
#include "region.h"

INLINE void unpack_quad(const uint8_t *q, uint8_t *n) {
  for (int i = 0; i < 32; i++) {
    n[2 * i] = q[i] & 15;
    n[2 * i + 1] = q[i] >> 4;
  }
}

INLINE void accumulate(int rows, bool unpacked, const int4_tile *tile, f32x16 out[8]) {
  const uint8_t *n = tile->nibbles;
  f32x16 total[8];
  const uint8_t *w = tile->w;
  UNROLL for (int i = 0; i < rows; i++) total[i] = splat(0);
  for (int32_t g = 0; g < tile->groups; g++) {
    i32x16 part[8];
    const f32x16 scale = record_scales(w);
    const ptrdiff_t k0 = (ptrdiff_t)g * tile->quads * 4;
    w += 32;
    UNROLL for (int i = 0; i < rows; i++) part[i] = splat_i32(tile->sums[i][g]);
    for (ptrdiff_t k = k0; k < k0 + tile->quads * 4; k += 4) {
      i32x16 w0, w1, w2, w3;
      if (unpacked) {
        const i32x16 v = *(const i32x16u *)n;
        w0 = v & 15, w1 = (v >> 8) & 15, w2 = (v >> 16) & 15, w3 = v >> 24;
      } else {
        const i32x16 v = __builtin_convertvector(*(const u16x16u *)w, i32x16);
        w0 = v & 15, w1 = (v >> 4) & 15, w2 = (v >> 8) & 15, w3 = v >> 12;
      }
      w += 32, n += 64;
      UNROLL for (int i = 0; i < rows; i++) {
        const int8_t *a = tile->a[i] + k;
        part[i] += w0 * a[0] + w1 * a[1] + w2 * a[2] + w3 * a[3];
      }
    }
    UNROLL for (int i = 0; i < rows; i++) total[i] = total[i] + to_float(part[i]) * scale;
  }
  UNROLL for (int i = 0; i < rows; i++) out[i] = total[i];
}
