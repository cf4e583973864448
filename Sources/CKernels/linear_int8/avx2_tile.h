// One block of 16 outputs in two 256-bit registers. The including file defines
//   multiply_quads(acc, activations, weights) and TILE_ROWS
#define ROW_LIMIT(blocks) TILE_ROWS
#define BLOCK_LIMIT 1
#include "region.h"

typedef int32_t i32x8 __attribute__((vector_size(32)));

INLINE void accumulate(int rows, int blocks, const int8_tile *tile, i32x16 out[8][4]) {
  __m256i low[8], high[8];
  const uint8_t *a[8];
  (void)blocks;
  UNROLL for (int i = 0; i < rows; i++) {
    low[i] = _mm256_loadu_si256((const __m256i *)tile->initial);
    high[i] = _mm256_loadu_si256((const __m256i *)(tile->initial + 8));
    a[i] = tile->a[i];
  }
  const int8_t *w = tile->w;
  for (int32_t s = 0; s < tile->segments; s++) {
    for (ptrdiff_t k = 0; k < (ptrdiff_t)tile->quads * 4; k += 4) {
      const __m256i w_low = _mm256_loadu_si256((const __m256i *)w);
      const __m256i w_high = _mm256_loadu_si256((const __m256i *)(w + 32));
      UNROLL for (int i = 0; i < rows; i++) {
        int32_t quad;
        memcpy(&quad, a[i] + k, 4);
        const __m256i activations = _mm256_set1_epi32(quad);
        low[i] = multiply_quads(low[i], activations, w_low);
        high[i] = multiply_quads(high[i], activations, w_high);
      }
      w += 64;
    }
    UNROLL for (int i = 0; i < rows; i++) a[i] += tile->segment_stride;
  }
  UNROLL for (int i = 0; i < rows; i++) {
    out[i][0] = __builtin_shufflevector((i32x8)low[i], (i32x8)high[i], 0, 1, 2, 3, 4, 5, 6, 7, 8,
                                        9, 10, 11, 12, 13, 14, 15);
  }
}
