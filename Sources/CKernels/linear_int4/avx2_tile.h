// A block's 16 outputs in two 256-bit registers. The including file defines TILE_ROWS and
//   multiply_nibbles(acc, nibbles, activations)
#define ROW_LIMIT TILE_ROWS
#include "region.h"

typedef int32_t i32x8 __attribute__((vector_size(32)));

// 16 bytes (two an output) to 32 (four an output): b0 & 15, b0 >> 4, b1 & 15, b1 >> 4.
INLINE __m256i nibbles(const uint8_t *q) {
  const __m256i bytes = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)q));
  const __m256i doubled = _mm256_shuffle_epi8(
      bytes, _mm256_setr_epi32(0x01010000, 0x05050404, 0x09090808, 0x0d0d0c0c, 0x01010000,
                               0x05050404, 0x09090808, 0x0d0d0c0c));
  const __m256i low = _mm256_and_si256(doubled, _mm256_set1_epi32(0x000f000f));
  const __m256i high =
      _mm256_and_si256(_mm256_srli_epi32(doubled, 4), _mm256_set1_epi32(0x0f000f00));
  return _mm256_or_si256(low, high);
}

INLINE void unpack_quad(const uint8_t *q, uint8_t *n) {
  _mm256_store_si256((__m256i *)n, nibbles(q));
  _mm256_store_si256((__m256i *)(n + 32), nibbles(q + 16));
}

INLINE void accumulate(int rows, bool unpacked, const int4_tile *tile, f32x16 out[8]) {
  const uint8_t *n = tile->nibbles;
  f32x16 total[8];
  const uint8_t *w = tile->w;
  UNROLL for (int i = 0; i < rows; i++) total[i] = splat(0);
  for (int32_t g = 0; g < tile->groups; g++) {
    __m256i low[8], high[8];
    const uint8_t *scales = w;
    const ptrdiff_t k0 = (ptrdiff_t)g * tile->quads * 4;
    w += 32;
    UNROLL for (int i = 0; i < rows; i++) {
      low[i] = high[i] = _mm256_set1_epi32(tile->sums[i][g]);
    }
    for (ptrdiff_t k = k0; k < k0 + tile->quads * 4; k += 4) {
      const __m256i w_low = unpacked ? _mm256_load_si256((const __m256i *)n) : nibbles(w);
      const __m256i w_high =
          unpacked ? _mm256_load_si256((const __m256i *)(n + 32)) : nibbles(w + 16);
      w += 32, n += 64;
      UNROLL for (int i = 0; i < rows; i++) {
        int32_t quad;
        memcpy(&quad, tile->a[i] + k, 4);
        const __m256i activations = _mm256_set1_epi32(quad);
        low[i] = multiply_nibbles(low[i], w_low, activations);
        high[i] = multiply_nibbles(high[i], w_high, activations);
      }
    }
    const f32x16 scale = record_scales(scales);
    UNROLL for (int i = 0; i < rows; i++) {
      const i32x16 part = __builtin_shufflevector((i32x8)low[i], (i32x8)high[i], 0, 1, 2, 3, 4, 5,
                                                  6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
      total[i] = total[i] + to_float(part) * scale;
    }
  }
  UNROLL for (int i = 0; i < rows; i++) out[i] = total[i];
}
