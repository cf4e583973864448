#include "../common/vector.h"

// 1.5 * 2^23: adding it rounds to the nearest integer, ties to even, and leaves the integer in the
// low bits.
#define ROUNDING 12582912.0f

// The 16 numbers from i on, of which `left` are there, as they are rounded.
INLINE f32x16 smoothed(const float *x, const float *smoothing, size_t i, size_t left) {
  const f32x16 v = load_partial(x + i, (ptrdiff_t)left);
  return smoothing ? v * load_partial(smoothing + i, (ptrdiff_t)left) : v;
}

// Never -0, of which the inverse would be taken: what is equal stays as it was.
INLINE float run_extent(const float *x, size_t count, const banana_rounding *rounding) {
  const f32x16 above = splat(127.0f / (float)(127 - rounding->zero_point));
  const f32x16 below = splat(-127.0f / (float)(127 + rounding->zero_point));
  f32x16 m0 = splat(0), m1 = splat(0);
  size_t i = 0;
  for (; i + 32 <= count; i += 32) {
    const f32x16 v0 = smoothed(x, rounding->smoothing, i, 16);
    const f32x16 v1 = smoothed(x, rounding->smoothing, i + 16, 16);
    m0 = maximum(maximum(v0 * above, v0 * below), m0);
    m1 = maximum(maximum(v1 * above, v1 * below), m1);
  }
  for (; i < count; i += 16) {
    const f32x16 v = smoothed(x, rounding->smoothing, i, count - i);
    m0 = maximum(maximum(v * above, v * below), m0);
  }
  return reduce_max(maximum(m0, m1));
}

// 127 / extent; 0 where that is not finite, so that a row of zeros (or next to it) becomes zeros.
INLINE float inverse_scale(float extent) {
  const float inverse = 127.0f / extent;
  return inverse <= 3.4e38f ? inverse : 0;
}

INLINE void quantize_run(const float *x, size_t count, const banana_rounding *rounding,
                         float inverse, uint8_t *q) {
// The products are rounded before the sum: q is defined so.
#pragma clang fp contract(off)
  const float zero = (float)rounding->zero_point;
  const f32x16 least = splat(-127.0f - zero), most = splat(127.0f - zero);
  const int32_t shift = rounding->zero_point - 0x4b400000;
  for (size_t i = 0; i < count; i += 16) {
    f32x16 scaled = smoothed(x, rounding->smoothing, i, count - i) * inverse;
    scaled = minimum(maximum(scaled, least), most);
    const i32x16 integer = (i32x16)(scaled + ROUNDING) + shift;
    const u8x16 bytes = __builtin_convertvector(integer, u8x16) ^ rounding->offset;
    if (count - i >= 16) {
      *(u8x16u *)(q + i) = bytes;
    } else {
      memcpy(q + i, &bytes, count - i);
    }
  }
}

void BANANA_NAME(quantize_rows)(const float *x, ptrdiff_t x_stride, int32_t rows, int32_t k,
                                const banana_rounding *rounding, uint8_t *q, ptrdiff_t q_stride,
                                float *scales) {
  for (int32_t r = 0; r < rows; r++) {
    const float extent = run_extent(x, k, rounding);
    const float inverse = inverse_scale(extent);
    scales[r] = inverse == 0 ? 1 : extent / 127.0f;
    quantize_run(x, k, rounding, inverse, q);
    memset(q + k, rounding->offset, q_stride - k);
    x += x_stride;
    q += q_stride;
  }
}

float BANANA_NAME(extent)(const float *x, int32_t rows, int32_t n,
                          const banana_rounding *rounding) {
  if (!rounding->smoothing) return run_extent(x, (size_t)rows * n, rounding);
  float most = 0;
  for (int32_t r = 0; r < rows; r++) {
    const float extent = run_extent(x + (size_t)r * n, n, rounding);
    most = extent > most ? extent : most;
  }
  return most;
}

void BANANA_NAME(quantize)(const float *x, int32_t rows, int32_t n,
                           const banana_rounding *rounding, float extent, uint8_t *q) {
  const float inverse = inverse_scale(extent);
  if (!rounding->smoothing) return quantize_run(x, (size_t)rows * n, rounding, inverse, q);
  for (int32_t r = 0; r < rows; r++) {
    quantize_run(x + (size_t)r * n, n, rounding, inverse, q + (size_t)r * n);
  }
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
