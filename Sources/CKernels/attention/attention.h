#include "../common/vector.h"
#include "../linear_f32/region.h"
#include "tile.h"

// Both products of attention are linear_f32's: K is packed as weights [keys, width], V^T as
// weights [width, keys]. Scores of a few rows over a tile of keys are kept, so that within it the
// softmax is the plain one in two passes; over tiles, the sums so far are scaled to the largest
// score so far. Milakov and Gimelshein 2018, "Online normalizer calculation for softmax".
typedef struct {
  int32_t keys, key_blocks, width_blocks;  // of the tile
  bool is_first, is_last;
  float *k;  // [key_blocks][width][16]
  float *v;  // [width_blocks][keys][16]
  float *bias;  // [key_blocks * 16], -infinity past the keys
  float *first_row;  // [key_blocks * 16]: the first query that sees the key
  float *scores;  // [8][key_blocks * 16]
  // Over the tiles; unused if there is only one.
  float *sums;  // [group rows][width_blocks * 16]
  float *tops;  // [group rows]: the largest score
  float *totals;  // [group rows]: the sum of the weights
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

// Packs s->keys keys from `key0` on, counted over all segments.
static void pack_tile(const banana_attention *p, int32_t item, int32_t kv_head, int32_t key0,
                      const attention_scratch *s) {
  int32_t key = 0, start = -key0;  // of the segment, counted from the tile's
  for (int32_t n = 0; n < p->segment_count; start += p->segments[n++].tokens) {
    const banana_attention_segment *g = &p->segments[n];
    const float *k = g->k + item * g->k_item_stride + kv_head * p->width;
    const float *v = g->v + item * g->v_item_stride + kv_head * p->width;
    for (; key < s->keys && key - start < g->tokens; key++) {
      const int32_t t = key - start;
      pack_key(s, k + t * g->k_stride, key, p->width);
      pack_value(s, v + t * g->v_stride, key, p->width);
      s->bias[key] = g->bias ? g->bias[item * g->bias_item_stride + t] : 0;
      s->first_row[key] = g->causal ? (float)t : 0;
    }
  }
  for (; key < s->key_blocks * 16; key++) {
    float *packed = s->k + (ptrdiff_t)(key / 16) * p->width * 16 + key % 16;
    for (int32_t i = 0; i < p->width; i++) packed[i * 16] = 0;
    s->bias[key] = -__builtin_inff();
    s->first_row[key] = 0;
  }
}

INLINE float largest(const float *scores, int32_t count) {
  f32x16 m = load(scores);
  for (int32_t i = 16; i < count; i += 16) m = maximum(m, load(scores + i));
  return reduce_max(m);
}

// Turns a row of scores into weights that still lack division by their sum, which it returns.
INLINE float exponentials(float *scores, int32_t count, float shift) {
  f32x16 sum = splat(0);
  for (int32_t i = 0; i < count; i += 16) {
    const f32x16 e = exponential(load(scores + i) - shift);
    store(scores + i, e);
    sum = sum + e;
  }
  return reduce_add(sum);
}

// The tile's part of `rows` rows from `row` on, which are the scratch's group rows from `state` on.
static void attend_rows(const banana_attention *p, const attention_scratch *s, const float *q,
                        float *out, int32_t row, int32_t rows, int32_t state) {
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
      const f32x16 first_row = load(s->first_row + (b + j) * 16);
      for (int i = 0; i < rows; i++) {
        const f32x16 score = product[i][j] * p->scale + bias;
        store(s->scores + i * columns + (b + j) * 16,
              select16(first_row > (float)(row + i), splat(-__builtin_inff()), score));
      }
    }
  }
  float inverse[8], kept[8];  // kept: what the sums so far are worth beside the tile's
  for (int i = 0; i < rows; i++) {
    float *scores = s->scores + i * columns, top = largest(scores, columns);
    const float before = s->is_first ? top : s->tops[state + i];
    top = before > top ? before : top;
    // A row whose keys are all hidden attends to nothing.
    const float shift = top > -3.4e38f ? top : 0;
    float total = exponentials(scores, columns, shift);
    kept[i] = exponential(splat(before - shift))[0];
    if (!s->is_first) total += s->totals[state + i] * kept[i];
    if (!s->is_last) {
      s->tops[state + i] = top;
      s->totals[state + i] = total;
    }
    inverse[i] = total > 0 ? 1.0f / total : 0;
    tile.a[i] = scores;
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
        float *sums = s->sums + (ptrdiff_t)(state + i) * s->width_blocks * 16 + column;
        f32x16 sum = product[i][j];
        if (!s->is_first) sum = sum + load(sums) * kept[i];
        if (s->is_last) {
          store_partial(out + i * p->out_stride + column, sum * inverse[i], p->width - column);
        } else {
          store(sums, sum);
        }
      }
    }
  }
}

void BANANA_NAME(attention)(const banana_attention *p, int32_t item, int32_t kv_head,
                            int32_t row0, int32_t row1, float *scratch) {
  int32_t keys = 0;
  for (int32_t n = 0; n < p->segment_count; n++) keys += p->segments[n].tokens;
  const int32_t tile_keys = attention_tile_keys(p->width, keys);
  const int32_t key_lanes = (tile_keys + 15) / 16 * 16;
  const int32_t group = p->heads / p->kv_heads, band = row1 - row0;
  attention_scratch s = {.width_blocks = (p->width + 15) / 16};
  s.k = scratch;
  s.v = s.k + (ptrdiff_t)key_lanes * p->width;
  s.bias = s.v + (ptrdiff_t)tile_keys * 16 * s.width_blocks;
  s.first_row = s.bias + key_lanes;
  s.scores = s.first_row + key_lanes;
  s.sums = s.scores + 8 * key_lanes;
  s.tops = s.sums + (ptrdiff_t)group * band * s.width_blocks * 16;
  s.totals = s.tops + group * band;
  for (int32_t key = 0; key < keys; key += s.keys) {
    s.keys = keys - key < tile_keys ? keys - key : tile_keys;
    s.key_blocks = (s.keys + 15) / 16;
    s.is_first = key == 0;
    s.is_last = key + s.keys == keys;
    pack_tile(p, item, kv_head, key, &s);
    for (int32_t g = 0; g < group; g++) {
      const int32_t head = kv_head * group + g;
      const float *q = p->q + item * p->q_item_stride + head * p->width;
      float *out = p->out + item * p->out_item_stride + head * p->width;
      for (int32_t row = row0, rows; row < row1; row += rows) {
        rows = row1 - row < ROW_LIMIT(BLOCK_LIMIT) ? row1 - row : ROW_LIMIT(BLOCK_LIMIT);
        attend_rows(p, &s, q + row * p->q_stride, out + row * p->out_stride, row, rows,
                    g * band + row - row0);
      }
    }
  }
}
