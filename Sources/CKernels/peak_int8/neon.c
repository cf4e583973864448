#include "../common/targets.h"
#if BANANA_ARM
#define BANANA_SET neon
#define CHAINS 16
#define OPERATIONS 16
typedef int32x4_t accumulator;
#define start(n) vdupq_n_s32(n)
INLINE accumulator step(accumulator acc, accumulator n) {
  return vpadalq_s16(acc, vmull_s8(vget_low_s8(vreinterpretq_s8_s32(acc)),
                                   vget_low_s8(vreinterpretq_s8_s32(n))));
}
#define first_lane(acc) vgetq_lane_s32(acc, 0)
#include "peak_int8.h"
#endif
