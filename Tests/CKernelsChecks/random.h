#ifndef BANANA_CHECKS_RANDOM_H
#define BANANA_CHECKS_RANDOM_H
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "CKernelsChecks.h"

// splitmix64
static inline uint64_t next_random(uint64_t *state) {
  uint64_t z = (*state += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}
// Uniform in -1...1.
static inline float random_float(uint64_t *state) {
  return (float)((int64_t)next_random(state) >> 39) / 16777216.0f;
}
static inline int8_t random_int8(uint64_t *state) {
  return (int8_t)(next_random(state) % 255 - 127);
}

// Aligned, filled with bytes that make NaN and extreme integers of what a kernel forgets to write
// or should not read.
static inline void *allocate(size_t bytes) {
  const size_t rounded = (bytes + 127) / 64 * 64;
  void *p = aligned_alloc(64, rounded);
  memset(p, 0xff, rounded);
  return p;
}
static inline float *random_floats(size_t count, uint64_t *state) {
  float *x = allocate(count * sizeof(float));
  for (size_t i = 0; i < count; i++) x[i] = random_float(state);
  return x;
}
static inline double larger(double a, double b) { return !(b <= a) ? b : a; }
// |found - expected| over an allowance; NaN counts as infinite.
static inline double excess(double found, double expected, double allowance) {
  const double e = fabs(found - expected) / allowance;
  return isnan(e) ? INFINITY : e;
}
static inline double exact(double found, double expected) {
  return found == expected ? 0 : INFINITY;
}
static inline double naive_activation(double x, int activation) {
  switch (activation) {
    case BANANA_ACTIVATION_SILU:
      return x / (1 + exp(-x));
    case BANANA_ACTIVATION_GELU_ERF:
      return 0.5 * x * (1 + erf(x * sqrt(0.5)));
    case BANANA_ACTIVATION_GELU_TANH:
      return 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case BANANA_ACTIVATION_QUICK_GELU:
      return x / (1 + exp(-1.702 * x));
    case BANANA_ACTIVATION_RELU:
      return fmax(x, 0);
    case BANANA_ACTIVATION_TANH:
      return tanh(x);
    default:
      return x;
  }
}
#endif
