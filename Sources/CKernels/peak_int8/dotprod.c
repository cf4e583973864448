#include "../common/targets.h"
#if BANANA_ARM
BANANA_TARGET_DOTPROD
#define BANANA_SET dotprod
#define CHAINS 24
#define OPERATIONS 32
typedef int32x4_t accumulator;
#define start(n) vdupq_n_s32(n)
#define step(acc, n) vdotq_s32(acc, vreinterpretq_s8_s32(n), vreinterpretq_s8_s32(n))
#define first_lane(acc) vgetq_lane_s32(acc, 0)
#include "peak_int8.h"
BANANA_TARGET_END
#endif
