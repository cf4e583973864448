// Attention whose products take bf16 and sum f32: vdpbf16ps, twice the multiply-adds of f32.
//
// Everything is turned over: sixteen queries are the lanes of a register, keys and channels are
// what is broadcast. So no width is padded, keys are packed by rounding alone, each query's largest
// score and sum stay in a lane of its own, and the weights of two keys beside each other are what
// the product with the values takes. Sums over tiles of keys as in ../attention/attention.h.
#include "../common/targets.h"
#if BANANA_X86
BANANA_TARGET_AVX512BF16
#define BANANA_SET avx512bf16
#include "../common/epilogue.h"
#include "tile.h"

// 24 accumulators, 4 vectors of queries and a broadcast fill 29 of the 32 registers.
#define ROW_LIMIT 6
#define BLOCK_LIMIT (ATTENTION_BF16_QUERIES / 16)
#define QUERIES ATTENTION_BF16_QUERIES
// What a hidden key scores: its weight is 0 beside any other.
#define HIDDEN -1e30f

// A left operand of pairs of bf16, `rows` of them.
typedef struct {
  const uint32_t *rows[ROW_LIMIT];
  ptrdiff_t stride;  // pairs from a step to the next
  int32_t steps;
} pair_rows;

typedef struct {
  uint32_t *q;  // [pairs of channels][QUERIES]
  float *scores;  // [keys of a tile][QUERIES], times log2(e)
  uint32_t *weights;  // [pairs of keys][QUERIES]
  float *sums;  // [channels][QUERIES]
  float *tops, *totals, *kept;  // [QUERIES]; kept: what sums so far are worth beside the tile's
} bf16_scratch;

INLINE __m512bh pairs(const uint32_t *p) { return (__m512bh)_mm512_loadu_si512(p); }

// acc[row][block] += left[row] . right[.., block], over pairs.
INLINE void multiply(int rows, int blocks, const pair_rows *left, const uint32_t *right,
                     __m512 acc[ROW_LIMIT][BLOCK_LIMIT]) {
  const uint32_t *a[ROW_LIMIT];
  UNROLL for (int i = 0; i < rows; i++) a[i] = left->rows[i];
  for (int32_t step = 0; step < left->steps; step++) {
    __m512bh b[BLOCK_LIMIT];
    UNROLL for (int j = 0; j < blocks; j++) b[j] = pairs(right + 16 * j);
    UNROLL for (int i = 0; i < rows; i++) {
      const __m512bh x = (__m512bh)_mm512_set1_epi32((int32_t)*a[i]);
      a[i] += left->stride;
      UNROLL for (int j = 0; j < blocks; j++) acc[i][j] = _mm512_dpbf16_ps(acc[i][j], x, b[j]);
    }
    right += QUERIES;
  }
}

// Scores of `rows` keys; each query's largest so far is raised.
INLINE void score(int rows, int blocks, const pair_rows *keys, const uint32_t *q, float *scores,
                  float *tops) {
  __m512 acc[ROW_LIMIT][BLOCK_LIMIT];
  UNROLL for (int i = 0; i < rows; i++) {
    UNROLL for (int j = 0; j < blocks; j++) acc[i][j] = _mm512_setzero_ps();
  }
  multiply(rows, blocks, keys, q, acc);
  UNROLL for (int j = 0; j < blocks; j++) {
    __m512 top = _mm512_loadu_ps(tops + 16 * j);
    UNROLL for (int i = 0; i < rows; i++) {
      top = _mm512_max_ps(top, acc[i][j]);
      _mm512_storeu_ps(scores + i * QUERIES + 16 * j, acc[i][j]);
    }
    _mm512_storeu_ps(tops + 16 * j, top);
  }
}

// Adds the weighted values of a tile to the sums of `rows` channels.
INLINE void gather(int rows, int blocks, const pair_rows *values, const uint32_t *weights,
                   float *sums, const float *kept) {
  __m512 acc[ROW_LIMIT][BLOCK_LIMIT];
  UNROLL for (int j = 0; j < blocks; j++) {
    const __m512 factor = _mm512_loadu_ps(kept + 16 * j);
    UNROLL for (int i = 0; i < rows; i++) {
      acc[i][j] = _mm512_mul_ps(_mm512_loadu_ps(sums + i * QUERIES + 16 * j), factor);
    }
  }
  multiply(rows, blocks, values, weights, acc);
  UNROLL for (int i = 0; i < rows; i++) {
    UNROLL for (int j = 0; j < blocks; j++) {
      _mm512_storeu_ps(sums + i * QUERIES + 16 * j, acc[i][j]);
    }
  }
}

#define PAIR_CASE(function, rows, blocks)         \
  case rows:                                      \
    function(rows, blocks, left, right, out, lanes); \
    return;
#define PAIR_CASES(function, blocks)                                                \
  static __attribute__((noinline)) void function##_##blocks(                        \
      int rows, const pair_rows *left, const uint32_t *right, float *out, float *lanes) { \
    switch (rows) {                                                                 \
      PAIR_CASE(function, 1, blocks) PAIR_CASE(function, 2, blocks)                 \
      PAIR_CASE(function, 3, blocks) PAIR_CASE(function, 4, blocks)                 \
      PAIR_CASE(function, 5, blocks) PAIR_CASE(function, 6, blocks)                 \
    }                                                                               \
  }
PAIR_CASES(score, 1)
PAIR_CASES(score, 2)
PAIR_CASES(score, 4)
PAIR_CASES(gather, 1)
PAIR_CASES(gather, 2)
PAIR_CASES(gather, 4)

typedef void pair_function(int rows, const pair_rows *, const uint32_t *right, float *out,
                           float *lanes);

// 2^x for x <= 0, within 8e-5 of itself.
INLINE __m512 power_of_two(__m512 x) {
  const __m512 r = _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF);
  __m512 p = _mm512_set1_ps(0.0780238f);
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.2260679f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.6958334f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.9999252f));
  return _mm512_scalef_ps(p, x);
}

// The order that puts sixteen of one kind beside sixteen of the other, pair by pair.
INLINE __m512i side_by_side(void) {
  return _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22,
                          6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
}

// Turns a tile's scores of a block of queries into weights that lack division by their sum.
INLINE void weigh(const bf16_scratch *s, int32_t keys, int block, const float *before) {
  const __m512i sides = side_by_side();
  const __m512 top = _mm512_loadu_ps(s->tops + 16 * block);
  // A query whose keys are all hidden attends to nothing.
  const __m512 shift = _mm512_max_ps(top, _mm512_set1_ps(HIDDEN / 2));
  const __m512 kept = power_of_two(_mm512_sub_ps(_mm512_loadu_ps(before + 16 * block), shift));
  const float *scores = s->scores + 16 * block;
  uint32_t *weights = s->weights + 16 * block;
  __m512 even = _mm512_mul_ps(_mm512_loadu_ps(s->totals + 16 * block), kept);
  __m512 odd = _mm512_setzero_ps();
  for (int32_t key = 0; key < keys; key += 2) {
    const __m512 a = power_of_two(_mm512_sub_ps(_mm512_loadu_ps(scores), shift));
    const __m512 b = power_of_two(_mm512_sub_ps(_mm512_loadu_ps(scores + QUERIES), shift));
    even = _mm512_add_ps(even, a);
    odd = _mm512_add_ps(odd, b);
    const __m512i both = (__m512i)_mm512_cvtne2ps_pbh(b, a);
    _mm512_storeu_si512(weights, _mm512_permutexvar_epi16(sides, both));
    scores += 2 * QUERIES;
    weights += QUERIES;
  }
  _mm512_storeu_ps(s->kept + 16 * block, kept);
  _mm512_storeu_ps(s->totals + 16 * block, _mm512_add_ps(even, odd));
}

// What is added to a query's score of a key, hidden keys being as good as -infinity.
static void add_biases(const banana_attention *p, int32_t item, int32_t row0, int32_t key0,
                       int32_t keys, int blocks, const bf16_scratch *s, const float *before) {
  const __m512 hidden = _mm512_set1_ps(HIDDEN);
  const __m512 lanes = _mm512_set_ps(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  memcpy(s->tops, before, QUERIES * sizeof(float));
  int32_t start = 0;  // of the segment
  for (int32_t n = 0; n < p->segment_count; start += p->segments[n++].tokens) {
    const banana_attention_segment *g = &p->segments[n];
    const int32_t first = key0 > start ? key0 - start : 0;
    for (int32_t t = first; t < g->tokens && start + t < key0 + keys; t++) {
      const float bias = g->bias ? g->bias[item * g->bias_item_stride + t] * 1.44269504f : 0;
      for (int j = 0; j < blocks; j++) {
        float *scores = s->scores + (start + t - key0) * QUERIES + 16 * j;
        float *tops = s->tops + 16 * j;
        __m512 x = _mm512_add_ps(_mm512_loadu_ps(scores), _mm512_set1_ps(bias));
        x = _mm512_max_ps(x, hidden);
        if (g->causal) {
          const __m512 rows = _mm512_add_ps(lanes, _mm512_set1_ps((float)(row0 + 16 * j)));
          const __mmask16 early = _mm512_cmp_ps_mask(rows, _mm512_set1_ps((float)t), _CMP_LT_OQ);
          x = _mm512_mask_mov_ps(x, early, hidden);
        }
        _mm512_storeu_ps(scores, x);
        _mm512_storeu_ps(tops, _mm512_max_ps(_mm512_loadu_ps(tops), x));
      }
    }
  }
}

// Rows become columns.
INLINE void transpose(__m512 x[16]) {
  __m512 t[16];
  UNROLL for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_ps(x[i], x[i + 1]);
    t[i + 1] = _mm512_unpackhi_ps(x[i], x[i + 1]);
  }
  UNROLL for (int i = 0; i < 16; i += 4) {
    const __m512d a = (__m512d)t[i], b = (__m512d)t[i + 1];
    const __m512d c = (__m512d)t[i + 2], d = (__m512d)t[i + 3];
    x[i] = (__m512)_mm512_unpacklo_pd(a, c);
    x[i + 1] = (__m512)_mm512_unpackhi_pd(a, c);
    x[i + 2] = (__m512)_mm512_unpacklo_pd(b, d);
    x[i + 3] = (__m512)_mm512_unpackhi_pd(b, d);
  }
  // Quarter l of x[i + k] has column 4 l + k of rows i to i + 3.
  UNROLL for (int k = 0; k < 4; k++) {
    t[k] = _mm512_shuffle_f32x4(x[k], x[4 + k], 0x88);
    t[4 + k] = _mm512_shuffle_f32x4(x[k], x[4 + k], 0xdd);
    t[8 + k] = _mm512_shuffle_f32x4(x[8 + k], x[12 + k], 0x88);
    t[12 + k] = _mm512_shuffle_f32x4(x[8 + k], x[12 + k], 0xdd);
  }
  UNROLL for (int k = 0; k < 4; k++) {
    x[k] = _mm512_shuffle_f32x4(t[k], t[8 + k], 0x88);
    x[4 + k] = _mm512_shuffle_f32x4(t[4 + k], t[12 + k], 0x88);
    x[8 + k] = _mm512_shuffle_f32x4(t[k], t[8 + k], 0xdd);
    x[12 + k] = _mm512_shuffle_f32x4(t[4 + k], t[12 + k], 0xdd);
  }
}

// Lays `rows` queries side by side, scaled so that weights are powers of two.
static void load_queries(const banana_attention *p, const float *q, int32_t rows,
                         const bf16_scratch *s) {
  const __m512 scale = _mm512_set1_ps(p->scale * 1.44269504f);
  const __m512i sides = side_by_side();
  for (int32_t row = 0; row < rows; row += 16) {
    for (int32_t c = 0; c < p->width; c += 16) {
      __m512 x[16];
      UNROLL for (int i = 0; i < 16; i++) {
        const float *from = q + (row + i) * p->q_stride + c;
        x[i] = row + i < rows ? (__m512)load_partial(from, p->width - c) : _mm512_setzero_ps();
        x[i] = _mm512_mul_ps(x[i], scale);
      }
      transpose(x);
      uint32_t *to = s->q + c / 2 * QUERIES + row;
      UNROLL for (int i = 0; i < 16; i += 2) {
        const __m512i both = (__m512i)_mm512_cvtne2ps_pbh(x[i + 1], x[i]);
        if (c + i < p->width) {
          _mm512_storeu_si512(to + i / 2 * QUERIES, _mm512_permutexvar_epi16(sides, both));
        }
      }
    }
  }
}

static void store_queries(const banana_attention *p, int32_t rows, const bf16_scratch *s,
                          float *out) {
  for (int32_t row = 0; row < rows; row += 16) {
    const __m512 total = _mm512_loadu_ps(s->totals + row);
    const __mmask16 sees = _mm512_cmp_ps_mask(total, _mm512_setzero_ps(), _CMP_GT_OQ);
    const __m512 inverse = _mm512_maskz_div_ps(sees, _mm512_set1_ps(1), total);
    for (int32_t c = 0; c < p->width; c += 16) {
      __m512 x[16];
      UNROLL for (int i = 0; i < 16; i++) {
        x[i] = c + i < p->width ? _mm512_loadu_ps(s->sums + (ptrdiff_t)(c + i) * QUERIES + row)
                                : _mm512_setzero_ps();
        x[i] = _mm512_mul_ps(x[i], inverse);
      }
      transpose(x);
      for (int i = 0; i < 16 && row + i < rows; i++) {
        store_partial(out + (row + i) * p->out_stride + c, (f32x16)x[i], p->width - c);
      }
    }
  }
}

// Passes `rows` queries from `row` on over `count` keys from `key0` on; `k` and `v` are theirs.
static void attend_tile(const banana_attention *p, int32_t item, int32_t row, int32_t rows,
                        int32_t key0, int32_t count, const uint32_t *k, const uint32_t *v,
                        bool has_biases, const bf16_scratch *s) {
  const int blocks = (rows + 15) / 16;
  pair_function *score = blocks == 1 ? score_1 : blocks == 2 ? score_2 : score_4;
  pair_function *gather = blocks == 1 ? gather_1 : blocks == 2 ? gather_2 : gather_4;
  pair_rows left = {.stride = 1, .steps = (p->width + 1) / 2};
  float before[QUERIES];
  memcpy(before, s->tops, sizeof before);
  for (int32_t key = 0, step; key < count; key += step) {
    step = balanced_step(count - key, ROW_LIMIT);
    for (int i = 0; i < step; i++) left.rows[i] = k + (ptrdiff_t)(key + i) * left.steps;
    score(step, &left, s->q, s->scores + key * QUERIES, s->tops);
  }
  if (has_biases) add_biases(p, item, row, key0, count, blocks, s, before);
  if (count % 2) {
    for (int i = 0; i < QUERIES; i++) s->scores[count * QUERIES + i] = HIDDEN;
  }
  for (int j = 0; j < blocks; j++) weigh(s, count, j, before);
  left.stride = p->width;
  left.steps = (count + 1) / 2;
  for (int32_t c = 0, step; c < p->width; c += step) {
    step = balanced_step(p->width - c, ROW_LIMIT);
    for (int i = 0; i < step; i++) left.rows[i] = v + c + i;
    gather(step, &left, s->weights, s->sums + (ptrdiff_t)c * QUERIES, s->kept);
  }
}

void banana_attention_bf16_avx512bf16(const banana_attention *p, int32_t item, int32_t head,
                                      int32_t row0, int32_t row1, const uint32_t *packed,
                                      float *scratch) {
  const int32_t channel_pairs = (p->width + 1) / 2;
  int32_t keys = 0;
  bool has_biases = false;
  for (int32_t n = 0; n < p->segment_count; n++) {
    keys += p->segments[n].tokens;
    has_biases |= p->segments[n].bias || p->segments[n].causal;
  }
  const uint32_t *k = packed, *v = packed + (ptrdiff_t)keys * channel_pairs;
  bf16_scratch s = {.q = (uint32_t *)scratch};
  s.weights = s.q + channel_pairs * QUERIES;
  s.scores = scratch + (channel_pairs + ATTENTION_BF16_KEYS / 2) * QUERIES;
  s.sums = s.scores + ATTENTION_BF16_KEYS * QUERIES;
  s.tops = s.sums + (ptrdiff_t)p->width * QUERIES;
  s.totals = s.tops + QUERIES;
  s.kept = s.totals + QUERIES;
  const float *q = p->q + item * p->q_item_stride + head * p->width;
  float *out = p->out + item * p->out_item_stride + head * p->width;
  for (int32_t row = row0, rows; row < row1; row += rows) {
    rows = row1 - row < QUERIES ? row1 - row : QUERIES;
    load_queries(p, q + row * p->q_stride, rows, &s);
    memset(s.sums, 0, (size_t)p->width * QUERIES * sizeof(float));
    for (int i = 0; i < QUERIES; i++) s.tops[i] = HIDDEN, s.totals[i] = 0;
    for (int32_t key = 0, count; key < keys; key += count) {
      count = keys - key < ATTENTION_BF16_KEYS ? keys - key : ATTENTION_BF16_KEYS;
      attend_tile(p, item, row, rows, key, count, k + (ptrdiff_t)key * channel_pairs,
                  v + (ptrdiff_t)(key / 2) * p->width, has_biases, &s);
    }
    store_queries(p, rows, &s, out + row * p->out_stride);
  }
}

// Where the floats of a key's head are, counted over all segments.
INLINE const float *token(const banana_attention *p, int32_t item, int32_t kv_head, int32_t key,
                          bool value) {
  const banana_attention_segment *g = p->segments;
  for (; key >= g->tokens; g++) key -= g->tokens;
  return kv_head * p->width + (value ? g->v + item * g->v_item_stride + key * g->v_stride
                                     : g->k + item * g->k_item_stride + key * g->k_stride);
}

void banana_attention_bf16_pack_avx512bf16(const banana_attention *p, int32_t item,
                                           int32_t kv_head, int32_t key0, int32_t key1,
                                           uint32_t *packed) {
  const int32_t width = p->width, channel_pairs = (width + 1) / 2;
  int32_t keys = 0;
  for (int32_t n = 0; n < p->segment_count; n++) keys += p->segments[n].tokens;
  uint32_t *k = packed + (ptrdiff_t)key0 * channel_pairs;
  for (int32_t key = key0; key < key1; key++, k += channel_pairs) {
    const float *x = token(p, item, kv_head, key, false);
    for (int32_t c = 0; c < width; c += 16) {
      const __m256bh rounded = _mm512_cvtneps_pbh((__m512)load_partial(x + c, width - c));
      const int32_t left = channel_pairs - c / 2;
      memcpy(k + c / 2, &rounded, (size_t)(left < 8 ? left : 8) * 4);
    }
  }
  uint32_t *v = packed + (ptrdiff_t)keys * channel_pairs + (ptrdiff_t)(key0 / 2) * width;
  const __m512i sides = side_by_side();
  for (int32_t key = key0; key < key1; key += 2, v += width) {
    const float *x = token(p, item, kv_head, key, true);
    const float *y = key + 1 < keys ? token(p, item, kv_head, key + 1, true) : NULL;
    for (int32_t c = 0; c < width; c += 16) {
      const f32x16 even = load_partial(x + c, width - c);
      const f32x16 odd = y ? load_partial(y + c, width - c) : splat(0);
      const __m512i both = (__m512i)_mm512_cvtne2ps_pbh((__m512)odd, (__m512)even);
      store_partial((float *)(v + c), (f32x16)_mm512_permutexvar_epi16(sides, both), width - c);
    }
  }
}
BANANA_TARGET_END
#endif
