// What the processor has, and the kernels of each level.
#include "../attention/tile.h"
#include "../attention_bf16/tile.h"
#include "../common/targets.h"

#if BANANA_X86
#include <cpuid.h>
#elif defined(__linux__) && BANANA_ARM
#include <sys/auxv.h>
#endif

#define DECLARE_INT(set)                                                                  \
  void banana_linear_int8_##set(const banana_linear_int8 *, int32_t, int32_t, int32_t,    \
                                int32_t);                                                 \
  void banana_linear_int8_initial_##set(const int8_t *, int32_t, int32_t, int32_t,        \
                                        int32_t *);                                       \
  double banana_peak_int8_##set(int64_t, int32_t *);
#define DECLARE_INT4(set)                                                              \
  void banana_linear_int4_##set(const banana_linear_int4 *, int32_t, int32_t, int32_t, \
                                int32_t);
#define DECLARE_F32(set)                                                                   \
  void banana_linear_f32_##set(const banana_linear_f32 *, int32_t, int32_t, int32_t,       \
                               int32_t);                                                   \
  void banana_quantize_rows_##set(const float *, ptrdiff_t, int32_t, int32_t,              \
                                  const banana_rounding *, uint8_t *, ptrdiff_t, float *); \
  float banana_extent_##set(const float *, int32_t, int32_t, const banana_rounding *);     \
  void banana_quantize_##set(const float *, int32_t, int32_t, const banana_rounding *,     \
                             float, uint8_t *);                                            \
  void banana_int4_group_sums_##set(const int8_t *, ptrdiff_t, int32_t, int32_t, int32_t,  \
                                    int32_t *);                                            \
  void banana_norm_##set(const banana_norm *, int32_t, int32_t);                           \
  void banana_group_statistics_##set(const float *, int32_t, int32_t, int32_t, float *,    \
                                     double (*)[2]);                                       \
  void banana_group_norm_##set(const banana_group_norm *, int32_t, int32_t);               \
  void banana_head_norm_##set(const banana_head_norm *, int32_t, int32_t);                 \
  void banana_attention_##set(const banana_attention *, int32_t, int32_t, int32_t, int32_t, \
                              float *);                                                    \
  void banana_activation_##set(const float *, size_t, int32_t, float *);                   \
  void banana_gated_activation_##set(const float *, const float *, size_t, int32_t,        \
                                     float *);                                             \
  void banana_add_##set(const float *, const float *, size_t, float *);                    \
  void banana_multiply_##set(const float *, const float *, size_t, float *);               \
  double banana_peak_f32_##set(int64_t, float *);

// A table from the sets that give its three parts; clang-format would make it a wall.
#define TABLE(level_, name_, offset, int8, int4, f32, ...)                                   \
  {.level = level_, .name = name_, .activation_offset = offset,                              \
   .linear_int8 = banana_linear_int8_##int8, .linear_int4 = banana_linear_int4_##int4,       \
   .linear_f32 = banana_linear_f32_##f32,                                                    \
   .linear_int8_initial = banana_linear_int8_initial_##int8,                                 \
   .quantize_rows = banana_quantize_rows_##f32,                                              \
   .extent = banana_extent_##f32, .quantize = banana_quantize_##f32,                         \
   .int4_group_sums = banana_int4_group_sums_##f32, .norm = banana_norm_##f32,               \
   .group_statistics = banana_group_statistics_##f32, .group_norm = banana_group_norm_##f32, \
   .head_norm = banana_head_norm_##f32, .attention = banana_attention_##f32,                 \
   .activation = banana_activation_##f32,                                                    \
   .gated_activation = banana_gated_activation_##f32, .add = banana_add_##f32,               \
   .multiply = banana_multiply_##f32, __VA_ARGS__}

DECLARE_INT(portable)
DECLARE_INT4(portable)
DECLARE_F32(portable)
static const banana_kernels portable =
    TABLE(BANANA_LEVEL_PORTABLE, "portable", 0, portable, portable, portable);

#if BANANA_X86
DECLARE_INT(avx2)
DECLARE_INT4(avx2)
DECLARE_F32(avx2)
DECLARE_INT(avxvnni)
DECLARE_INT4(avxvnni)
DECLARE_INT(avx512vnni)
DECLARE_INT4(avx512vnni)
DECLARE_F32(avx512)
static const banana_kernels avx2 = TABLE(BANANA_LEVEL_AVX2, "avx2", 0, avx2, avx2, avx2);
static const banana_kernels avxvnni =
    TABLE(BANANA_LEVEL_AVXVNNI, "avxvnni", 0x80, avxvnni, avxvnni, avx2);
static const banana_kernels avx512vnni =
    TABLE(BANANA_LEVEL_AVX512VNNI, "avx512vnni", 0x80, avx512vnni, avx512vnni, avx512);
void banana_attention_bf16_pack_avx512bf16(const banana_attention *, int32_t, int32_t, int32_t,
                                           int32_t, uint32_t *);
void banana_attention_bf16_avx512bf16(const banana_attention *, int32_t, int32_t, int32_t, int32_t,
                                      const uint32_t *, float *);
static const banana_kernels avx512bf16 =
    TABLE(BANANA_LEVEL_AVX512BF16, "avx512bf16", 0x80, avx512vnni, avx512vnni, avx512,
          .attention_bf16_pack = banana_attention_bf16_pack_avx512bf16,
          .attention_bf16 = banana_attention_bf16_avx512bf16);

// The compiler's probe has no name for AVX-VNNI: leaf 7, subleaf 1, EAX bit 4.
static bool has_avxvnni(void) {
  unsigned a, b, c, d;
  return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 4 & 1);
}

// AMD's processors multiply bf16 at twice the rate of f32 (Zen 4), Intel's at half of it: theirs is
// done by AMX.
static bool has_fast_bf16(void) {
  return __builtin_cpu_supports("avx512bf16") && __builtin_cpu_is("amd");
}
#elif BANANA_ARM
DECLARE_INT(neon)
DECLARE_INT(dotprod)
DECLARE_INT4(dotprod)
DECLARE_INT(i8mm)
static const banana_kernels neon =
    TABLE(BANANA_LEVEL_NEON, "neon", 0, neon, portable, portable);
static const banana_kernels dotprod =
    TABLE(BANANA_LEVEL_DOTPROD, "dotprod", 0, dotprod, dotprod, portable);
static const banana_kernels i8mm =
    TABLE(BANANA_LEVEL_I8MM, "i8mm", 0, i8mm, dotprod, portable);

#if defined(__linux__)
// AT_HWCAP bit 20 is asimddp, AT_HWCAP2 bit 13 is i8mm (Linux, arch/arm64 hwcap.h).
static bool has_dotprod(void) { return getauxval(AT_HWCAP) >> 20 & 1; }
static bool has_i8mm(void) { return getauxval(AT_HWCAP2) >> 13 & 1; }
#else
static bool has_dotprod(void) { return false; }
static bool has_i8mm(void) { return false; }
#endif
#endif

bool banana_level_available(banana_level level) {
  switch (level) {
    case BANANA_LEVEL_PORTABLE:
      return true;
#if BANANA_X86
    case BANANA_LEVEL_AVX2:
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
             __builtin_cpu_supports("f16c");
    case BANANA_LEVEL_AVXVNNI:
      return banana_level_available(BANANA_LEVEL_AVX2) && has_avxvnni();
    case BANANA_LEVEL_AVX512VNNI:
      return banana_level_available(BANANA_LEVEL_AVX2) && __builtin_cpu_supports("avx512f") &&
             __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
             __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512cd") &&
             __builtin_cpu_supports("avx512vnni");
    case BANANA_LEVEL_AVX512BF16:
      return banana_level_available(BANANA_LEVEL_AVX512VNNI) && has_fast_bf16();
#elif BANANA_ARM
    case BANANA_LEVEL_NEON:
      return true;
    case BANANA_LEVEL_DOTPROD:
      return has_dotprod();
    case BANANA_LEVEL_I8MM:
      return has_dotprod() && has_i8mm();
#endif
    default:
      return false;
  }
}

banana_level banana_level_best(void) {
#if BANANA_X86
  const banana_level order[] = {BANANA_LEVEL_AVX512BF16, BANANA_LEVEL_AVX512VNNI,
                                BANANA_LEVEL_AVXVNNI, BANANA_LEVEL_AVX2};
#elif BANANA_ARM
  const banana_level order[] = {BANANA_LEVEL_I8MM, BANANA_LEVEL_DOTPROD, BANANA_LEVEL_NEON};
#else
  const banana_level order[] = {BANANA_LEVEL_PORTABLE};
#endif
  for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
    if (banana_level_available(order[i])) return order[i];
  }
  return BANANA_LEVEL_PORTABLE;
}

const banana_kernels *banana_kernels_for(banana_level level) {
  if (!banana_level_available(level)) return NULL;
  switch (level) {
#if BANANA_X86
    case BANANA_LEVEL_AVX2:
      return &avx2;
    case BANANA_LEVEL_AVXVNNI:
      return &avxvnni;
    case BANANA_LEVEL_AVX512VNNI:
      return &avx512vnni;
    case BANANA_LEVEL_AVX512BF16:
      return &avx512bf16;
#elif BANANA_ARM
    case BANANA_LEVEL_NEON:
      return &neon;
    case BANANA_LEVEL_DOTPROD:
      return &dotprod;
    case BANANA_LEVEL_I8MM:
      return &i8mm;
#endif
    default:
      return &portable;
  }
}

size_t banana_attention_scratch(int32_t width, int32_t keys, int32_t group_rows) {
  const int32_t tile_keys = attention_tile_keys(width, keys);
  const size_t key_lanes = (size_t)(tile_keys + 15) / 16 * 16;
  const size_t width_lanes = (size_t)(width + 15) / 16 * 16;
  const size_t sums = tile_keys == keys ? 0 : (size_t)group_rows * (width_lanes + 2);
  return key_lanes * (size_t)width + (size_t)tile_keys * width_lanes + 10 * key_lanes + sums;
}

size_t banana_attention_bf16_scratch(int32_t width) {
  const size_t channel_pairs = (size_t)(width + 1) / 2;
  // Queries, weights of pairs of keys, scores, sums; largest scores, totals and what is kept.
  return (channel_pairs + ATTENTION_BF16_KEYS / 2 + ATTENTION_BF16_KEYS + (size_t)width + 3) *
         ATTENTION_BF16_QUERIES;
}

size_t banana_attention_bf16_packed(int32_t width, int32_t keys) {
  const size_t channel_pairs = (size_t)(width + 1) / 2;
  const size_t pairs = (size_t)keys * channel_pairs + (size_t)(keys + 1) / 2 * (size_t)width;
  return (pairs + 15) / 16 * 16;
}

double banana_peak_int8(banana_level level, int64_t iterations, int32_t *sink) {
  if (!banana_level_available(level)) return 0;
  switch (level) {
#if BANANA_X86
    case BANANA_LEVEL_AVX2:
      return banana_peak_int8_avx2(iterations, sink);
    case BANANA_LEVEL_AVXVNNI:
      return banana_peak_int8_avxvnni(iterations, sink);
    case BANANA_LEVEL_AVX512VNNI:
    case BANANA_LEVEL_AVX512BF16:
      return banana_peak_int8_avx512vnni(iterations, sink);
#elif BANANA_ARM
    case BANANA_LEVEL_NEON:
      return banana_peak_int8_neon(iterations, sink);
    case BANANA_LEVEL_DOTPROD:
      return banana_peak_int8_dotprod(iterations, sink);
    case BANANA_LEVEL_I8MM:
      return banana_peak_int8_i8mm(iterations, sink);
#endif
    default:
      return banana_peak_int8_portable(iterations, sink);
  }
}

double banana_peak_f32(banana_level level, int64_t iterations, float *sink) {
  if (!banana_level_available(level)) return 0;
  switch (level) {
#if BANANA_X86
    case BANANA_LEVEL_AVX2:
    case BANANA_LEVEL_AVXVNNI:
      return banana_peak_f32_avx2(iterations, sink);
    case BANANA_LEVEL_AVX512VNNI:
    case BANANA_LEVEL_AVX512BF16:
      return banana_peak_f32_avx512(iterations, sink);
#endif
    default:
      return banana_peak_f32_portable(iterations, sink);
  }
}
