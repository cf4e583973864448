#include "../common/vector.h"

// sum((x - mean)^2); lanes past the end count nothing.
INLINE float squared_deviations(const float *x, int32_t n, float mean) {
  f32x16 s0 = splat(0), s1 = splat(0);
  int32_t i = 0;
  for (; i + 32 <= n; i += 32) {
    const f32x16 d0 = load(x + i) - mean, d1 = load(x + i + 16) - mean;
    s0 = s0 + d0 * d0;
    s1 = s1 + d1 * d1;
  }
  for (; i < n; i += 16) {
    const i32x16 lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    const f32x16 d = load_partial(x + i, n - i) - mean;
    s0 = s0 + select16(lane < splat_i32(n - i), d * d, splat(0));
  }
  return reduce_add(s0 + s1);
}

INLINE float sum_of(const float *x, int32_t n) {
  f32x16 s0 = splat(0), s1 = splat(0);
  int32_t i = 0;
  for (; i + 32 <= n; i += 32) {
    s0 = s0 + load(x + i);
    s1 = s1 + load(x + i + 16);
  }
  for (; i < n; i += 16) s0 = s0 + load_partial(x + i, n - i);
  return reduce_add(s0 + s1);
}

void BANANA_NAME(norm)(const banana_norm *p, int32_t row0, int32_t row1) {
  for (int32_t r = row0; r < row1; r++) {
    const float *x = p->x + r * p->x_stride;
    float *y = p->y + r * p->y_stride;
    const float mean = p->subtract_mean ? sum_of(x, p->n) / (float)p->n : 0;
    const float variance = squared_deviations(x, p->n, mean) / (float)p->n;
    const float inverse = 1.0f / __builtin_sqrtf(variance + p->epsilon);
    const int32_t item = p->scale || p->shift ? r / p->modulation_rows : 0;
    for (int32_t i = 0; i < p->n; i += 16) {
      const ptrdiff_t count = p->n - i;
      f32x16 v = (load_partial(x + i, count) - mean) * inverse;
      if (p->weight) v = v * load_partial(p->weight + i, count);
      if (p->bias) v = v + load_partial(p->bias + i, count);
      if (p->scale) {
        v = v * (load_partial(p->scale + item * p->scale_stride + i, count) + 1.0f);
      }
      if (p->shift) v = v + load_partial(p->shift + item * p->shift_stride + i, count);
      store_partial(y + i, activate(v, p->activation), count);
    }
  }
}
