#include "../common/vector.h"

void banana_mean_pool(const float *x, const float *mask, int32_t tokens, int32_t width, float *y) {
  float total = 0;
  for (int32_t t = 0; t < tokens; t++) total += mask ? mask[t] : 1;
  const float inverse = total > 0 ? 1.0f / total : 0;
  for (int32_t i = 0; i < width; i += 16) {
    f32x16 sum = splat(0);
    for (int32_t t = 0; t < tokens; t++) {
      sum = sum + load_partial(x + (ptrdiff_t)t * width + i, width - i) * (mask ? mask[t] : 1);
    }
    store_partial(y + i, sum * inverse, width - i);
  }
}
