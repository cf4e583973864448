// Sixteen f32 or int32 lanes, whatever registers the target has: one of 512 bits, two of 256 or
// four of 128. Included after the file's target is set, so that the functions below belong to it.
#ifndef BANANA_VECTOR_H
#define BANANA_VECTOR_H

#include "targets.h"

// Every function here is inlined, so that no vector crosses a call.
#pragma clang diagnostic ignored "-Wpsabi"

typedef float f32x16 __attribute__((vector_size(64)));
typedef float f32x16u __attribute__((vector_size(64), aligned(4)));
typedef int32_t i32x16 __attribute__((vector_size(64)));
typedef int32_t i32x16u __attribute__((vector_size(64), aligned(4)));
typedef uint32_t u32x16 __attribute__((vector_size(64)));
typedef uint16_t u16x16 __attribute__((vector_size(32)));
typedef uint16_t u16x16u __attribute__((vector_size(32), aligned(2)));
typedef uint8_t u8x16 __attribute__((vector_size(16)));
typedef uint8_t u8x16u __attribute__((vector_size(16), aligned(1)));

INLINE f32x16 splat(float x) {
  return (f32x16){x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x};
}
INLINE i32x16 splat_i32(int32_t x) {
  return (i32x16){x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x};
}
INLINE f32x16 load(const float *p) { return *(const f32x16u *)p; }
INLINE void store(float *p, f32x16 x) { *(f32x16u *)p = x; }

// The first `count` lanes; the others are zero.
INLINE f32x16 load_partial(const float *p, ptrdiff_t count) {
  if (count >= 16) return load(p);
  f32x16 x = splat(0);
  memcpy(&x, p, (size_t)count * sizeof(float));
  return x;
}
INLINE void store_partial(float *p, f32x16 x, ptrdiff_t count) {
  if (count >= 16) {
    store(p, x);
  } else {
    memcpy(p, &x, (size_t)count * sizeof(float));
  }
}

INLINE f32x16 select16(i32x16 mask, f32x16 yes, f32x16 no) {
  return (f32x16)((mask & (i32x16)yes) | (~mask & (i32x16)no));
}
INLINE f32x16 maximum(f32x16 a, f32x16 b) { return select16(a > b, a, b); }
INLINE f32x16 minimum(f32x16 a, f32x16 b) { return select16(a < b, a, b); }
INLINE f32x16 absolute(f32x16 x) { return (f32x16)((i32x16)x & splat_i32(0x7fffffff)); }
INLINE f32x16 to_float(i32x16 x) { return __builtin_convertvector(x, f32x16); }

INLINE float reduce_add(f32x16 x) {
  typedef float f32x8 __attribute__((vector_size(32)));
  typedef float f32x4 __attribute__((vector_size(16)));
  f32x8 a = __builtin_shufflevector(x, x, 0, 1, 2, 3, 4, 5, 6, 7) +
            __builtin_shufflevector(x, x, 8, 9, 10, 11, 12, 13, 14, 15);
  f32x4 b = __builtin_shufflevector(a, a, 0, 1, 2, 3) + __builtin_shufflevector(a, a, 4, 5, 6, 7);
  return (b[0] + b[2]) + (b[1] + b[3]);
}
INLINE float reduce_max(f32x16 x) {
  float m = x[0];
  UNROLL for (int i = 1; i < 16; i++) m = x[i] > m ? x[i] : m;
  return m;
}

// f16 to f32, exactly, denormals, infinities and NaN included.
INLINE f32x16 widen_f16(u16x16 h) {
  const u32x16 bits = __builtin_convertvector(h, u32x16);
  const u32x16 magnitude = (bits & 0x7fffu) << 13;
  // 2^112 moves the exponent's bias from 15 to 127, and normalizes what was denormal.
  const f32x16 scaled = (f32x16)magnitude * 0x1p112f;
  const u32x16 special = (u32x16)(magnitude >= 0x0f800000u) & 0x7f800000u;
  return (f32x16)((u32x16)scaled | special | ((bits & 0x8000u) << 16));
}
INLINE f32x16 widen_bf16(u16x16 h) {
  return (f32x16)(__builtin_convertvector(h, u32x16) << 16);
}

// e^x within 2 ulp; 0 below -87.3, infinity above 88.3.
INLINE f32x16 exponential(f32x16 x) {
  const f32x16 held = minimum(maximum(x, splat(-87.5f)), splat(88.3f));
  // Adding 1.5 * 2^23 rounds to the nearest integer and leaves it in the low bits.
  const f32x16 shifted = held * 1.44269504f + 12582912.0f;
  const f32x16 n = shifted - 12582912.0f;
  const f32x16 r = (held - n * 0.693359375f) - n * -2.12194440e-4f;
  f32x16 p = splat(1.0f / 5040);
  p = p * r + 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = (p * r) * r + r + 1.0f;
  const i32x16 power = ((i32x16)shifted - 0x4b400000 + 127) << 23;
  const f32x16 y = p * (f32x16)power;
  return select16(x > 88.3f, splat(__builtin_inff()), (f32x16)((x > -87.3f) & (i32x16)y));
}

INLINE f32x16 sigmoid(f32x16 x) { return 1.0f / (1.0f + exponential(-x)); }

#include "error_function.h"
#include "hyperbolic_tangent.h"

INLINE f32x16 activate(f32x16 x, int32_t activation) {
  switch (activation) {
    case BANANA_ACTIVATION_SILU:
      return x * sigmoid(x);
    case BANANA_ACTIVATION_GELU_ERF:
      // Hendrycks & Gimpel 2016, eq. 1
      return (x * 0.5f) * (1.0f + error_function(x * 0.707106781f));
    case BANANA_ACTIVATION_GELU_TANH:
      // 0.5 (1 + tanh u) is sigmoid(2u), u = sqrt(2/pi) (x + 0.044715 x^3).
      return x * sigmoid(x * (1.59576912f + 0.0713548162f * (x * x)));
    case BANANA_ACTIVATION_QUICK_GELU:
      return x * sigmoid(x * 1.702f);
    case BANANA_ACTIVATION_RELU:
      return select16(x < 0.0f, splat(0), x);
    case BANANA_ACTIVATION_TANH:
      return hyperbolic_tangent(x);
    default:
      return x;
  }
}

#endif
