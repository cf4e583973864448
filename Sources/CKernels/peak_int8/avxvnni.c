#include "../common/targets.h"
#if BANANA_X86
BANANA_TARGET_AVXVNNI
#define BANANA_SET avxvnni
#define CHAINS 12
#define OPERATIONS 64
typedef __m256i accumulator;
#define start(n) _mm256_set1_epi32(n)
#define step(acc, n) _mm256_dpbusd_avx_epi32(acc, n, n)
#define first_lane(acc) _mm_cvtsi128_si32(_mm256_castsi256_si128(acc))
#include "peak_int8.h"
BANANA_TARGET_END
#endif
