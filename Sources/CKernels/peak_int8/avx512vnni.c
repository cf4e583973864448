#include "../common/targets.h"
#if BANANA_X86
BANANA_TARGET_AVX512
#define BANANA_SET avx512vnni
#define CHAINS 24
#define OPERATIONS 128
typedef __m512i accumulator;
#define start(n) _mm512_set1_epi32(n)
#define step(acc, n) _mm512_dpbusd_epi32(acc, n, n)
#define first_lane(acc) _mm_cvtsi128_si32(_mm512_castsi512_si128(acc))
#include "peak_int8.h"
BANANA_TARGET_END
#endif
