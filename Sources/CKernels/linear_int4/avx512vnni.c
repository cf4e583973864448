// The nibbles as they are stored (q + 8) are vpdpbusd's unsigned operand; the group sums take the
// +8 back.
#include "../common/targets.h"
#if BANANA_X86
BANANA_TARGET_AVX512
#define BANANA_SET avx512vnni
#include "../common/epilogue.h"
#define ROW_LIMIT 8
#include "region.h"

// 32 bytes (two a lane) to 64 (four a lane): b0 & 15, b0 >> 4, b1 & 15, b1 >> 4.
INLINE __m512i nibbles(const uint8_t *q) {
  const __m512i bytes = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)q));
  const __m512i doubled = _mm512_shuffle_epi8(
      bytes, _mm512_set4_epi32(0x0d0d0c0c, 0x09090808, 0x05050404, 0x01010000));
  const __m512i low = _mm512_and_si512(doubled, _mm512_set1_epi32(0x000f000f));
  const __m512i high =
      _mm512_and_si512(_mm512_srli_epi32(doubled, 4), _mm512_set1_epi32(0x0f000f00));
  return _mm512_or_si512(low, high);
}

INLINE void unpack_quad(const uint8_t *q, uint8_t *n) { _mm512_store_si512(n, nibbles(q)); }

INLINE void accumulate(int rows, bool unpacked, const int4_tile *tile, f32x16 out[8]) {
  const uint8_t *n = tile->nibbles;
  f32x16 total[8];
  const uint8_t *w = tile->w;
  UNROLL for (int i = 0; i < rows; i++) total[i] = splat(0);
  for (int32_t g = 0; g < tile->groups; g++) {
    __m512i part[8];
    const f32x16 scales = record_scales(w);
    const ptrdiff_t k0 = (ptrdiff_t)g * tile->quads * 4;
    w += 32;
    UNROLL for (int i = 0; i < rows; i++) part[i] = _mm512_set1_epi32(tile->sums[i][g]);
    for (ptrdiff_t k = k0; k < k0 + tile->quads * 4; k += 4) {
      const __m512i weights = unpacked ? _mm512_load_si512(n) : nibbles(w);
      w += 32, n += 64;
      UNROLL for (int i = 0; i < rows; i++) {
        int32_t quad;
        memcpy(&quad, tile->a[i] + k, 4);
        part[i] = _mm512_dpbusd_epi32(part[i], weights, _mm512_set1_epi32(quad));
      }
    }
    UNROLL for (int i = 0; i < rows; i++) {
      total[i] = total[i] + to_float((i32x16)part[i]) * scales;
    }
  }
  UNROLL for (int i = 0; i < rows; i++) out[i] = total[i];
}
BANANA_TARGET_END
#endif
