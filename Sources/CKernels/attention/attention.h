#include "../common/vector.h"
#include "../linear_f32/region.h"

// Both products of attention are linear_f32's: K is packed as weights [keys, width], V^T as
// weights [width, keys]. Scores of a few rows over all keys are kept, so the softmax is the plain
// one in two passes.
typedef struct {
  int32_t keys, key_blocks, width_blocks;
  float *k;  // [key_blocks][width][16]
  float *v;  // [width_blocks][keys][16]
  float *bias;  // [key_blocks * 16], -infinity past the keys
  float *scores;  // [8][key_blocks * 16]
} attention_scratch;

INLINE void pack_key(const attention_scratch *s, const float *k, int32_t key, int32_t width) {
  float *packed = s->k + (ptrdiff_t)(key / 16) * width * 16 + key % 16;
  for (int32_t i = 0; i < width; i++) packed[i * 16] = k[i];
}

INLINE void pack_value(const attention_scratch *s, const float *v, int32_t key, int32_t width) {
  for (int32_t b = 0; b < s->width_blocks; b++) {
    store(s->v + ((ptrdiff_t)b * s->keys + key) * 16, load_partial(v + b * 16, width - b * 16));
  }
}

static void pack_segments(const banana_attention *p, int32_t item, int32_t kv_head,
                          const attention_scratch *s) {
  int32_t key = 0;
  for (int32_t n = 0; n < p->segment_count; n++) {
    const banana_attention_segment *g = &p->segments[n];
    const float *k = g->k + item * g->k_item_stride + kv_head * p->width;
    const float *v = g->v + item * g->v_item_stride + kv_head * p->width;
    for (int32_t t = 0; t < g->tokens; t++, key++) {
      pack_key(s, k + t * g->k_stride, key, p->width);
      pack_value(s, v + t * g->v_stride, key, p->width);
      s->bias[key] = g->bias ? g->bias[item * g->bias_item_stride + t] : 0;
    }
  }
  for (; key < s->key_blocks * 16; key++) {
    float *packed = s->k + (ptrdiff_t)(key / 16) * p->width * 16 + key % 16;
    for (int32_t i = 0; i < p->width; i++) packed[i * 16] = 0;
    s->bias[key] = -__builtin_inff();
  }
}

// Turns a row of scores into weights that still lack division by their sum, which it returns.
INLINE float exponentials(float *scores, int32_t count) {
  f32x16 m = load(scores);
  for (int32_t i = 16; i < count; i += 16) m = maximum(m, load(scores + i));
  const float top = reduce_max(m);
  // A row whose keys are all hidden attends to nothing.
  const float shift = top > -3.4e38f ? top : 0;
  f32x16 sum = splat(0);
  for (int32_t i = 0; i < count; i += 16) {
    const f32x16 e = exponential(load(scores + i) - shift);
    store(scores + i, e);
    sum = sum + e;
  }
  return reduce_add(sum);
}

static void attend_rows(const banana_attention *p, const attention_scratch *s, const float *q,
                        float *out, int32_t rows) {
  f32_tile tile = {.segments = 1, .length = p->width, .w_stride = (ptrdiff_t)p->width * 16};
  f32x16 product[8][3];
  const int32_t columns = s->key_blocks * 16;
  for (int i = 0; i < rows; i++) tile.a[i] = q + i * p->q_stride;
  for (int32_t b = 0, blocks; b < s->key_blocks; b += blocks) {
    blocks = s->key_blocks - b < BLOCK_LIMIT ? s->key_blocks - b : BLOCK_LIMIT;
    tile.w = s->k + b * tile.w_stride;
    f32_rows(rows, blocks, &tile, product);
    for (int j = 0; j < blocks; j++) {
      const f32x16 bias = load(s->bias + (b + j) * 16);
      for (int i = 0; i < rows; i++) {
        store(s->scores + i * columns + (b + j) * 16, product[i][j] * p->scale + bias);
      }
    }
  }
  float inverse[8];
  for (int i = 0; i < rows; i++) {
    const float sum = exponentials(s->scores + i * columns, columns);
    inverse[i] = sum > 0 ? 1.0f / sum : 0;
    tile.a[i] = s->scores + i * columns;
  }
  tile.length = s->keys;
  tile.w_stride = (ptrdiff_t)s->keys * 16;
  for (int32_t b = 0, blocks; b < s->width_blocks; b += blocks) {
    blocks = s->width_blocks - b < BLOCK_LIMIT ? s->width_blocks - b : BLOCK_LIMIT;
    tile.w = s->v + b * tile.w_stride;
    f32_rows(rows, blocks, &tile, product);
    for (int j = 0; j < blocks; j++) {
      const int32_t column = (b + j) * 16;
      for (int i = 0; i < rows; i++) {
        store_partial(out + i * p->out_stride + column, product[i][j] * inverse[i],
                      p->width - column);
      }
    }
  }
}

void BANANA_NAME(attention)(const banana_attention *p, int32_t item, int32_t kv_head,
                            int32_t row0, int32_t row1, float *scratch) {
  attention_scratch s = {.keys = 0};
  for (int32_t n = 0; n < p->segment_count; n++) s.keys += p->segments[n].tokens;
  s.key_blocks = (s.keys + 15) / 16;
  s.width_blocks = (p->width + 15) / 16;
  s.k = scratch;
  s.v = s.k + (ptrdiff_t)s.key_blocks * 16 * p->width;
  s.bias = s.v + (ptrdiff_t)s.keys * 16 * s.width_blocks;
  s.scores = s.bias + s.key_blocks * 16;
  pack_segments(p, item, kv_head, &s);
  const int32_t group = p->heads / p->kv_heads;
  for (int32_t head = kv_head * group; head < (kv_head + 1) * group; head++) {
    const float *q = p->q + item * p->q_item_stride + head * p->width;
    float *out = p->out + item * p->out_item_stride + head * p->width;
    for (int32_t row = row0, rows; row < row1; row += rows) {
      rows = row1 - row < ROW_LIMIT(BLOCK_LIMIT) ? row1 - row : ROW_LIMIT(BLOCK_LIMIT);
      attend_rows(p, &s, q + row * p->q_stride, out + row * p->out_stride, rows);
    }
  }
}
