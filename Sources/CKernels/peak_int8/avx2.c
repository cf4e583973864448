#include "../common/targets.h"
#if BANANA_X86
BANANA_TARGET_AVX2
#define BANANA_SET avx2
#define CHAINS 12
#define OPERATIONS 64
typedef __m256i accumulator;
#define start(n) _mm256_set1_epi32(n)
// What this set needs for a product and sum: it has no such instruction.
INLINE accumulator step(accumulator acc, accumulator n) {
  const __m256i pairs = _mm256_maddubs_epi16(n, _mm256_xor_si256(n, acc));
  return _mm256_add_epi32(acc, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
#define first_lane(acc) _mm_cvtsi128_si32(_mm256_castsi256_si128(acc))
#include "peak_int8.h"
BANANA_TARGET_END
#endif
