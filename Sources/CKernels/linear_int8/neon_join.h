typedef int32_t i32x4 __attribute__((vector_size(16)));
typedef int32_t i32x8 __attribute__((vector_size(32)));
INLINE i32x16 joined(int32x4_t a, int32x4_t b, int32x4_t c, int32x4_t d) {
  const i32x8 low = __builtin_shufflevector((i32x4)a, (i32x4)b, 0, 1, 2, 3, 4, 5, 6, 7);
  const i32x8 high = __builtin_shufflevector((i32x4)c, (i32x4)d, 0, 1, 2, 3, 4, 5, 6, 7);
  return __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
}
