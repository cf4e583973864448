#include "../common/vector.h"

#define CHAINS (ROW_LIMIT(BLOCK_LIMIT) * BLOCK_LIMIT)

double BANANA_NAME(peak_f32)(int64_t iterations, float *sink) {
  f32x16 acc[CHAINS];
  const f32x16 factor = splat(*sink), addend = splat(0.5f);
  UNROLL for (int i = 0; i < CHAINS; i++) acc[i] = splat((float)i);
  for (int64_t n = 0; n < iterations; n++) {
    UNROLL for (int i = 0; i < CHAINS; i++) acc[i] = acc[i] * factor + addend;
  }
  f32x16 sum = splat(0);
  UNROLL for (int i = 0; i < CHAINS; i++) sum = sum + acc[i];
  *sink = reduce_add(sum);
  return (double)iterations * CHAINS * 16 * 2;
}
