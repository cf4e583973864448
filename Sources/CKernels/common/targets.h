// Which instructions the functions of a file may use, and how its functions are named.
#ifndef BANANA_TARGETS_H
#define BANANA_TARGETS_H

#include <string.h>

#include "CKernels.h"

#if defined(__x86_64__)
#define BANANA_X86 1
#include <immintrin.h>
#elif defined(__aarch64__)
#define BANANA_ARM 1
#include <arm_neon.h>
#endif

#define BANANA_PUSH_(text) _Pragma(#text)
#define BANANA_PUSH(features) \
  BANANA_PUSH_(clang attribute push(__attribute__((target(features))), apply_to = function))
#define BANANA_TARGET_AVX2 BANANA_PUSH("avx2,fma,f16c")
#define BANANA_TARGET_AVXVNNI BANANA_PUSH("avx2,fma,f16c,avxvnni")
#define BANANA_TARGET_AVX512 \
  BANANA_PUSH("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512cd,avx512vnni")
#define BANANA_TARGET_AVX512BF16                                             \
  BANANA_PUSH("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512cd,avx512vnni,avx512bf16")
#define BANANA_TARGET_DOTPROD BANANA_PUSH("dotprod")
#define BANANA_TARGET_I8MM BANANA_PUSH("dotprod,i8mm")
#define BANANA_TARGET_END _Pragma("clang attribute pop")

#define BANANA_JOIN_(a, b) banana_##a##_##b
#define BANANA_JOIN(a, b) BANANA_JOIN_(a, b)
// banana_<name>_<instruction set>
#define BANANA_NAME(name) BANANA_JOIN(name, BANANA_SET)

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("clang loop unroll(full)")

#endif
