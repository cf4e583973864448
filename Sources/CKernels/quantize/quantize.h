#include "../common/vector.h"

// 1.5 * 2^23: adding it rounds to the nearest integer, ties to even, and leaves the integer in the
// low bits.
#define ROUNDING 12582912.0f

INLINE float row_absolute_maximum(const float *x, size_t count) {
  f32x16 m0 = splat(0), m1 = splat(0);
  size_t i = 0;
  for (; i + 32 <= count; i += 32) {
    m0 = maximum(m0, absolute(load(x + i)));
    m1 = maximum(m1, absolute(load(x + i + 16)));
  }
  for (; i < count; i += 16) m0 = maximum(m0, absolute(load_partial(x + i, count - i)));
  return reduce_max(maximum(m0, m1));
}

// 127 / absmax; 0 where that is not finite, so that a row of zeros (or next to it) becomes zeros.
INLINE float inverse_scale(float absmax) {
  const float inverse = 127.0f / absmax;
  return inverse <= 3.4e38f ? inverse : 0;
}

INLINE void quantize_run(const float *x, size_t count, float inverse, uint8_t offset, uint8_t *q) {
// The product is rounded before the sum: q is defined so.
#pragma clang fp contract(off)
  for (size_t i = 0; i < count; i += 16) {
    f32x16 scaled = load_partial(x + i, count - i) * inverse;
    scaled = minimum(maximum(scaled, splat(-127.0f)), splat(127.0f));
    const i32x16 integer = (i32x16)(scaled + ROUNDING) - 0x4b400000;
    const u8x16 bytes = __builtin_convertvector(integer, u8x16) ^ offset;
    if (count - i >= 16) {
      *(u8x16u *)(q + i) = bytes;
    } else {
      memcpy(q + i, &bytes, count - i);
    }
  }
}

void BANANA_NAME(quantize_rows)(const float *x, ptrdiff_t x_stride, int32_t rows, int32_t k,
                                uint8_t offset, uint8_t *q, ptrdiff_t q_stride, float *scales) {
  for (int32_t r = 0; r < rows; r++) {
    const float absmax = row_absolute_maximum(x, k);
    const float inverse = inverse_scale(absmax);
    scales[r] = inverse == 0 ? 1 : absmax / 127.0f;
    quantize_run(x, k, inverse, offset, q);
    memset(q + k, offset, q_stride - k);
    x += x_stride;
    q += q_stride;
  }
}

float BANANA_NAME(absolute_maximum)(const float *x, size_t count) {
  return row_absolute_maximum(x, count);
}

void BANANA_NAME(quantize)(const float *x, size_t count, float absmax, uint8_t offset,
                           uint8_t *q) {
  quantize_run(x, count, inverse_scale(absmax), offset, q);
}

void BANANA_NAME(int4_group_sums)(const int8_t *a, ptrdiff_t row_stride, int32_t rows,
                                  int32_t groups, int32_t group, int32_t *sums) {
  for (int32_t r = 0; r < rows; r++) {
    for (int32_t g = 0; g < groups; g++) {
      const int8_t *x = a + r * row_stride + (ptrdiff_t)g * group;
      int32_t sum = 0;
      for (int32_t i = 0; i < group; i++) sum += x[i];
      sums[(ptrdiff_t)r * groups + g] = -8 * sum;
    }
  }
}
