// vpmaddubsw: 15 * 127 * 2 is far from 16 bits' end, so the sums are exact.
#include "../common/targets.h"
#if BANANA_X86
BANANA_TARGET_AVX2
#define BANANA_SET avx2
#include "../common/epilogue.h"
#define TILE_ROWS 4
INLINE __m256i multiply_nibbles(__m256i acc, __m256i nibbles, __m256i activations) {
  const __m256i pairs = _mm256_maddubs_epi16(nibbles, activations);
  return _mm256_add_epi32(acc, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
#include "avx2_tile.h"
BANANA_TARGET_END
#endif
