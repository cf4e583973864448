// vpdpbusd on 256 bits, in its VEX form for processors without AVX-512.
#include "../common/targets.h"
#if BANANA_X86
BANANA_TARGET_AVXVNNI
#define BANANA_SET avxvnni
#include "../common/epilogue.h"
#define TILE_ROWS 6
#define ACTIVATION_OFFSET 128
INLINE __m256i multiply_quads(__m256i acc, __m256i activations, __m256i weights) {
  return _mm256_dpbusd_avx_epi32(acc, activations, weights);
}
#include "avx2_tile.h"
BANANA_TARGET_END
#endif
