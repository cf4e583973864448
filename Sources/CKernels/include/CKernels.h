// Compute kernels: no allocation, no threads, no globals that change.
//
// A kernel works on a rectangle of its output that the caller names, so that any split over threads
// gives the same bits: no kernel ever splits a reduction. Kernels are reached through a table a
// level (`banana_kernels_for`); every level computes the same function.
#ifndef BANANA_CKERNELS_H
#define BANANA_CKERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma clang assume_nonnull begin

// The instruction sets that have kernels of their own, poorest first within an architecture.
typedef enum {
  BANANA_LEVEL_PORTABLE = 0,
  BANANA_LEVEL_AVX2 = 1,
  BANANA_LEVEL_AVXVNNI = 2,
  BANANA_LEVEL_AVX512VNNI = 3,
  BANANA_LEVEL_NEON = 4,
  BANANA_LEVEL_DOTPROD = 5,
  BANANA_LEVEL_I8MM = 6,
  BANANA_LEVEL_AVX512BF16 = 7,
  BANANA_LEVEL_COUNT = 8,
} banana_level;

typedef enum {
  BANANA_ACTIVATION_NONE = 0,
  BANANA_ACTIVATION_SILU = 1,
  BANANA_ACTIVATION_GELU_ERF = 2,
  BANANA_ACTIVATION_GELU_TANH = 3,
  BANANA_ACTIVATION_QUICK_GELU = 4,
  BANANA_ACTIVATION_RELU = 5,
  BANANA_ACTIVATION_TANH = 6,
  BANANA_ACTIVATION_COUNT = 7,
} banana_activation;

// The storage of plain (not quantized) weights.
typedef enum {
  BANANA_STORAGE_F32 = 0,
  BANANA_STORAGE_F16 = 1,
  BANANA_STORAGE_BF16 = 2,
} banana_storage;

// Where the left rows of a matrix product lie. Strides count elements (bytes for int8, floats for
// f32).
//
// Row r of a matrix starts at `r * row_stride`. Row r of a convolution is a pixel: with
// `line_rows > 0`, pixel (item, y, x) starts at
// `item * item_stride + y * line_stride + x * row_stride` and r counts x, then y, then items.
// A row is `segments` runs of `segment_length` elements, `segment_stride` apart: one for a matrix,
// one a kernel line for a convolution over a padded picture.
typedef struct {
  ptrdiff_t row_stride;
  int32_t line_rows;
  int32_t item_lines;
  ptrdiff_t line_stride;
  ptrdiff_t item_stride;
  int32_t segments;
  int32_t segment_length;
  ptrdiff_t segment_stride;
} banana_rows;

// What happens to a matrix product on its way to memory:
// `y = activation(product + bias + inner up^T) * gate + residual`. Absent parts are NULL.
typedef struct {
  const float *_Nullable bias;  // [n]
  const float *_Nullable inner;  // [rows, rank]
  const float *_Nullable up;  // n16: [ceil(n/16)][rank][16]
  int32_t rank;  // even
  int32_t activation;  // banana_activation
  int32_t gate_rows;  // row r is gated by gate row r / gate_rows: 1 for a full gate
  const float *_Nullable gate;  // [rows / gate_rows, n]
  ptrdiff_t gate_stride;
  const float *_Nullable residual;  // [rows, n]; may be y itself
  ptrdiff_t residual_stride;
  float *_Nullable y;  // [rows, n]
  ptrdiff_t y_stride;
} banana_epilogue;

// y[row, n] = epilogue(row_scale * w_scale[n] * sum(a[row, k] * w[n, k]))
typedef struct {
  const uint8_t *_Nullable a;  // int8 rows, each byte xor the level's activation_offset, that
                     // of what is outside a picture the zero point;
                     // the segment length is a multiple of 4
  const float *_Nullable row_scale;  // [rows / row_scale_rows]
  int32_t row_scale_rows;
  int32_t n;
  const int8_t *_Nullable w;  // n16k4: [ceil(n/16)][ceil(k/4)][16][4], 64-byte aligned
  const float *_Nullable w_scale;  // [n]
  const int32_t *_Nullable initial;  // [ceil(n/16) * 16] from linear_int8_initial
  banana_rows rows;
  banana_epilogue epilogue;
} banana_linear_int8;

// y[row, n] = epilogue(row_scale * sum over groups g(scale[n, g] * sum(a[row, k] * q[n, k]))), the
// groups in order.
typedef struct {
  const int8_t *_Nullable a;  // int8 rows (no offset), zero up to a multiple of the group
  ptrdiff_t row_stride;
  const int32_t *_Nullable group_sums;  // [rows, ceil(k/group)] from int4_group_sums
  const float *_Nullable row_scale;  // [rows / row_scale_rows]
  int32_t row_scale_rows;
  int32_t n;
  int32_t groups;  // ceil(k/group)
  int32_t group;  // 32 or 64
  const uint8_t *_Nullable w;  // [ceil(n/16)][groups]{f16 scale[16]; u8 q[group/4][16][2]}
  banana_epilogue epilogue;
} banana_linear_int4;

// y[row, n] = epilogue(sum(a[row, k] * w[n, k])), k in order, one accumulator an output
typedef struct {
  const float *_Nullable a;
  const float *_Nullable w;  // n16: [ceil(n/16)][k][16], zero padded, 64-byte aligned
  int32_t n;
  banana_rows rows;
  banana_epilogue epilogue;
} banana_linear_f32;

// y = (x - mean) / sqrt(variance + epsilon) * weight + bias, then y * (1 + scale) + shift, then
// the activation.
// RMS norm when subtract_mean is false. Absent parts are NULL.
typedef struct {
  const float *_Nullable x;  // [rows, n]
  ptrdiff_t x_stride;
  float *_Nullable y;  // [rows, n]; may be x
  ptrdiff_t y_stride;
  int32_t n;
  float epsilon;
  bool subtract_mean;
  const float *_Nullable weight;  // [n]
  const float *_Nullable bias;  // [n]
  const float *_Nullable scale;  // [rows / modulation_rows, n]
  const float *_Nullable shift;  // [rows / modulation_rows, n]
  ptrdiff_t scale_stride;
  ptrdiff_t shift_stride;
  int32_t modulation_rows;
  int32_t activation;  // banana_activation
} banana_norm;

// y = activation((x - mean) * scale + bias), channel by channel
typedef struct {
  const float *_Nullable x;  // [rows, n]
  float *_Nullable y;  // [rows, n]; may be x
  int32_t n;
  const float *_Nullable mean;  // [n]
  const float *_Nullable scale;  // [n]
  const float *_Nullable bias;  // [n]
  int32_t activation;  // banana_activation
} banana_group_norm;

// RMS norm over each head (optional), then a rotation: a head is cut into stretches of `stretch`
// channels, within which channel i turns with channel i + stretch / 2.
typedef struct {
  const float *_Nullable x;  // [rows, heads * width]
  ptrdiff_t x_stride;
  float *_Nullable y;  // [rows, heads * width]; may be x
  ptrdiff_t y_stride;
  int32_t heads;
  int32_t width;
  const float *_Nullable weight;  // [width], or NULL for no norm
  float epsilon;
  const float *_Nullable cosine;  // [positions, width / 2], stretches side by side, or NULL for
  const float *_Nullable sine;    // no rotation
  int32_t positions;  // row r is at position r % positions
  int32_t stretch;  // even, divides width
} banana_head_norm;

// How rows [n] are rounded to bytes: `(round-half-even(x * smoothing * 127/extent) + zero_point) ^
// offset`, each product rounded, within -127...127 before the offset.
typedef struct {
  const float *_Nullable smoothing;  // [n]; 1 if NULL
  int32_t zero_point;  // -126...126
  uint8_t offset;
} banana_rounding;

// Keys and values of one stretch of tokens.
typedef struct {
  const float *_Nullable k;  // [items, tokens, kv heads * width]
  const float *_Nullable v;
  ptrdiff_t k_stride;  // floats between tokens
  ptrdiff_t v_stride;
  ptrdiff_t k_item_stride;  // floats between batch items
  ptrdiff_t v_item_stride;
  int32_t tokens;
  const float *_Nullable bias;  // [items, tokens] added to the scores, -infinity hides; or NULL
  ptrdiff_t bias_item_stride;
  bool causal;  // token t is hidden from the queries before t
} banana_attention_segment;

// out = softmax(scale * q k^T + bias) v for each head; the keys of all segments stand side by side.
typedef struct {
  const float *_Nullable q;  // [items, tokens, heads * width]
  ptrdiff_t q_stride;
  ptrdiff_t q_item_stride;
  float *_Nullable out;  // as q
  ptrdiff_t out_stride;
  ptrdiff_t out_item_stride;
  int32_t heads;
  int32_t kv_heads;  // divides heads; head h reads kv head h / (heads / kv_heads)
  int32_t width;
  float scale;
  int32_t segment_count;
  const banana_attention_segment *_Nullable segments;
} banana_attention;

typedef struct {
  int32_t level;  // banana_level
  const char *name;
  // Quantized activations for linear_int8 are stored as `q ^ activation_offset`: 0x80 where the
  // instruction multiplies unsigned by signed.
  uint8_t activation_offset;

  // Rows [row0, row1) and output blocks (of 16) [block0, block1).
  void (*linear_int8)(const banana_linear_int8 *, int32_t row0, int32_t row1,
                               int32_t block0, int32_t block1);
  void (*linear_int4)(const banana_linear_int4 *, int32_t row0, int32_t row1,
                               int32_t block0, int32_t block1);
  void (*linear_f32)(const banana_linear_f32 *, int32_t row0, int32_t row1,
                              int32_t block0, int32_t block1);

  // What the accumulators of linear_int8 start from: minus the share of the offset and of
  // the zero point, for `n` outputs rounded up to 16 and k rounded up to 4.
  void (*linear_int8_initial)(const int8_t *w, int32_t n, int32_t k,
                                       int32_t zero_point, int32_t *initial);

  // Quantizes rows of x: scale = extent/127 (1 for a row of zeros), padded with `offset` up to
  // q_stride.
  void (*quantize_rows)(const float *x, ptrdiff_t x_stride, int32_t rows,
                                 int32_t k, const banana_rounding *, uint8_t *q,
                                 ptrdiff_t q_stride, float *scales);
  // How far x [rows, n], smoothed, reaches from zero, as a part of what there is room for: with a
  // zero point of 0 the largest magnitude.
  float (*extent)(const float *x, int32_t rows, int32_t n,
                           const banana_rounding *);
  void (*quantize)(const float *x, int32_t rows, int32_t n,
                            const banana_rounding *, float extent, uint8_t *q);
  // sums[row, group] = -8 * (sum of the group's activations): what int4's stored +8 adds too much.
  void (*int4_group_sums)(const int8_t *a, ptrdiff_t row_stride, int32_t rows,
                                   int32_t groups, int32_t group, int32_t *sums);

  void (*norm)(const banana_norm *, int32_t row0, int32_t row1);
  // Of each of `groups` stretches of channels of x [rows, n]: the mean, and the sum of the squares
  // of the deviations from it. `scratch` has room for 3 n floats.
  void (*group_statistics)(const float *x, int32_t rows, int32_t n, int32_t groups,
                           float *scratch, double (*statistics)[2]);
  void (*group_norm)(const banana_group_norm *, int32_t row0, int32_t row1);
  void (*head_norm)(const banana_head_norm *, int32_t row0, int32_t row1);
  // Rows [row0, row1) of the heads that share kv head `kv_head` of batch item `item`.
  void (*attention)(const banana_attention *, int32_t item, int32_t kv_head,
                             int32_t row0, int32_t row1, float *scratch);
  // The same with products of bf16: queries, keys, values and weights are rounded, sums are f32.
  // NULL where that is not faster. First, `attention_bf16_pack` lays keys [key0, key1) of all
  // segments, key0 even, and their values where every query of the kv head reads them.
  void (*_Nullable attention_bf16_pack)(const banana_attention *, int32_t item, int32_t kv_head,
                                        int32_t key0, int32_t key1, uint32_t *packed);
  // Rows [row0, row1) of one head.
  void (*_Nullable attention_bf16)(const banana_attention *, int32_t item, int32_t head,
                                   int32_t row0, int32_t row1, const uint32_t *packed,
                                   float *scratch);

  // y = activation(x); y may be x.
  void (*activation)(const float *x, size_t count, int32_t activation,
                              float *y);
  // y = value * activation(gate); y may be either.
  void (*gated_activation)(const float *value, const float *gate, size_t count,
                           int32_t activation, float *y);
  // y = a + b, y = a * b; y may be a or b.
  void (*add)(const float *a, const float *b, size_t count,
                       float *y);
  void (*multiply)(const float *a, const float *b, size_t count,
                            float *y);
} banana_kernels;

// Whether this processor can run a level.
bool banana_level_available(banana_level level);
// The level to use on this processor.
banana_level banana_level_best(void);
// The kernels of a level; NULL when this processor cannot run it.
const banana_kernels *_Nullable banana_kernels_for(banana_level level);

// Tells the processor that the caller is spinning.
static inline void banana_spin_hint(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

// Makes numbers below 1.2e-38 count as zero on the calling thread: they cost a hundred times as
// much to compute with as others. Returns what to restore later.
static inline uint64_t banana_flush_denormals(void) {
#if defined(__x86_64__)
  uint32_t mode;
  __asm__ volatile("stmxcsr %0" : "=m"(mode));
  const uint32_t flushing = mode | 0x8040;  // flush to zero, denormals are zeros
  __asm__ volatile("ldmxcsr %0" : : "m"(flushing));
  return mode;
#elif defined(__aarch64__)
  uint64_t mode;
  __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
  __asm__ volatile("msr fpcr, %0" : : "r"(mode | (uint64_t)1 << 24));
  return mode;
#else
  return 0;
#endif
}
static inline void banana_restore_denormals(uint64_t mode) {
#if defined(__x86_64__)
  const uint32_t old = (uint32_t)mode;
  __asm__ volatile("ldmxcsr %0" : : "m"(old));
#elif defined(__aarch64__)
  __asm__ volatile("msr fpcr, %0" : : "r"(mode));
#else
  (void)mode;
#endif
}

// The floats of scratch that `attention` needs for one call over `group_rows` queries, those of
// each head of the group counted; not more for more keys where there are many.
size_t banana_attention_scratch(int32_t width, int32_t keys, int32_t group_rows);
// The floats of scratch that `attention_bf16` needs, and the pairs of bf16 into which a head's keys
// and values are packed.
size_t banana_attention_bf16_scratch(int32_t width);
size_t banana_attention_bf16_packed(int32_t width, int32_t keys);

// Packs plain weights [n, k] (row-major, `storage`) into the n16 form of linear_f32:
// [ceil(n/16)][k][16] f32.
void banana_pack_f32(const void *w, banana_storage storage, int32_t n, int32_t k,
                     float *packed);
// The same from int8 n16k4 weights and from int4 records.
void banana_pack_int8(const int8_t *w, const float *scale, int32_t n, int32_t k,
                      float *packed);
void banana_pack_int4(const uint8_t *w, int32_t group, int32_t n, int32_t k,
                      float *packed);
// Multiplies packed weights [n, k] by smoothing [channels], over and over along k.
void banana_smooth_packed(float *packed, int32_t n, int32_t k, const float *smoothing,
                          int32_t channels);

// Widens `count` plain numbers to f32.
void banana_widen(const void *x, banana_storage storage, size_t count, float *y);
// Row `index` of an embedding table [rows, width].
void banana_embedding_plain(const void *table, banana_storage storage, int32_t width,
                            int32_t index, float *y);
void banana_embedding_int8(const int8_t *table, const float *scale, int32_t width,
                           int32_t index, float *y);
void banana_embedding_int4(const uint8_t *table, int32_t group, int32_t width, int32_t index,
                           float *y);

// [h, w, factor*factor*c] -> [h*factor, w*factor, c], source lines [line0, line1); the source
// channel is (dy*factor + dx)*c + channel. An item a call.
void banana_depth_to_space(const float *x, int32_t w, int32_t c, int32_t factor, int32_t line0,
                           int32_t line1, float *y);
// The inverse, [h*factor, w*factor, c] -> [h, w, factor*factor*c], target lines [line0, line1).
void banana_space_to_depth(const float *x, int32_t w, int32_t c, int32_t factor, int32_t line0,
                           int32_t line1, float *y);

// y = factor x + offset; y may be x.
void banana_scale(const float *x, size_t count, float factor, float offset, float *y);

// (left, right) = (cosine left + sine right, cosine right - sine left); the two do not overlap.
void banana_fold(float *left, float *right, size_t count, float cosine, float sine);

// A picture whose patches are the left matrix of a convolution. Patch r, of line r / columns and
// column r % columns, starts `stride` pixels behind the one before it.
typedef struct {
  const uint8_t *_Nullable x;  // [h, w] pixels of pixel_bytes bytes
  int32_t h;
  int32_t w;
  int32_t upsampling;  // each pixel is read as a square of so many lines and columns
  int32_t pixel_bytes;
  int32_t kernel_h;
  int32_t kernel_w;
  int32_t padding_top;  // lines outside the picture that the first patches begin with
  int32_t padding_left;
  int32_t stride;
  int32_t columns;  // patches in a line
  uint8_t padding;  // the byte outside the picture and behind a row's end
  ptrdiff_t row_stride;  // bytes of a patch in the panel
} banana_patches;
// Gathers patches [row0, row1) into a panel.
void banana_convolution_patches(const banana_patches *patches, int32_t row0, int32_t row1,
                                uint8_t *panel);

// sum(mask * x) / sum(mask) over the tokens (the plain mean if mask is NULL):
// [tokens, width] -> [width]; zeros if the mask is all zeros.
void banana_mean_pool(const float *x, const float *_Nullable mask, int32_t tokens,
                      int32_t width, float *y);

// Runs `iterations` rounds of nothing but multiply-adds in registers at a level and returns the
// operations done (a multiply-add counts 2). `sink` keeps the result alive.
double banana_peak_int8(banana_level level, int64_t iterations, int32_t *sink);
double banana_peak_f32(banana_level level, int64_t iterations, float *sink);

#pragma clang assume_nonnull end

#ifdef __cplusplus
}
#endif
#endif
