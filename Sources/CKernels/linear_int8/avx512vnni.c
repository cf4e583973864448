// vpdpbusd on 512 bits: 64 multiply-adds an instruction, one block of 16 outputs a register.
#include "../common/targets.h"
#if BANANA_X86
BANANA_TARGET_AVX512
#define BANANA_SET avx512vnni
#include "../common/epilogue.h"
// 24 accumulators, 4 weights and a broadcast fill the 32 registers.
#define ROW_LIMIT(blocks) ((blocks) == 4 ? 6 : 8)
#define BLOCK_LIMIT 4
#define ACTIVATION_OFFSET 128
#include "region.h"

INLINE void accumulate(int rows, int blocks, const int8_tile *tile, i32x16 out[8][4]) {
  __m512i acc[8][4];
  const uint8_t *a[8];
  UNROLL for (int j = 0; j < blocks; j++) {
    const __m512i initial = _mm512_loadu_si512(tile->initial + 16 * j);
    UNROLL for (int i = 0; i < rows; i++) acc[i][j] = initial;
  }
  UNROLL for (int i = 0; i < rows; i++) a[i] = tile->a[i];
  const int8_t *w = tile->w;
  for (int32_t s = 0; s < tile->segments; s++) {
    for (ptrdiff_t k = 0; k < (ptrdiff_t)tile->quads * 4; k += 4) {
      __m512i weights[4];
      UNROLL for (int j = 0; j < blocks; j++) {
        weights[j] = _mm512_loadu_si512(w + j * tile->w_stride);
      }
      UNROLL for (int i = 0; i < rows; i++) {
        int32_t quad;
        memcpy(&quad, a[i] + k, 4);
        const __m512i activations = _mm512_set1_epi32(quad);
        UNROLL for (int j = 0; j < blocks; j++) {
          acc[i][j] = _mm512_dpbusd_epi32(acc[i][j], activations, weights[j]);
        }
      }
      w += 64;
    }
    UNROLL for (int i = 0; i < rows; i++) a[i] += tile->segment_stride;
  }
  UNROLL for (int i = 0; i < rows; i++) {
    UNROLL for (int j = 0; j < blocks; j++) out[i][j] = (i32x16)acc[i][j];
  }
}
BANANA_TARGET_END
#endif
