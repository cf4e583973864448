#include "random.h"

enum { ITEMS = 2 };

// Queries over two segments: text, of which the last third is padding, and latents.
typedef struct {
  float *q, *out, *k[2], *v[2], *bias;
  size_t query_count, key_counts[2];  // floats
  banana_attention_segment segments[2];
  banana_attention p;
  int queries, keys;
} problem;

// - Parameters:
//   - distance: How far scores lie apart, for every width.
//   - outlier: What the first token of each segment is multiplied with.
static void make(problem *x, int queries, int text, int latents, int heads, int kv_heads,
                 int width, float distance, float outlier) {
  uint64_t seed = (uint64_t)queries * 1009 + text * 31 + latents;
  const int n = heads * width, kn = kv_heads * width, tokens[2] = {text, latents};
  x->queries = queries;
  x->keys = text + latents;
  x->query_count = (size_t)ITEMS * queries * n;
  x->q = random_floats(x->query_count, &seed);
  x->out = allocate(x->query_count * sizeof(float));
  x->bias = random_floats((size_t)ITEMS * text, &seed);
  for (int i = 0; i < ITEMS * text; i++) {
    if (i % text > text * 2 / 3) x->bias[i] = -INFINITY;
  }
  for (int s = 0; s < 2; s++) {
    x->key_counts[s] = (size_t)ITEMS * tokens[s] * kn;
    x->k[s] = random_floats(x->key_counts[s], &seed);
    x->v[s] = random_floats(x->key_counts[s], &seed);
    for (int i = 0; i < kn; i++) x->k[s][i] *= outlier;
    x->segments[s] = (banana_attention_segment){
        .k = x->k[s], .v = x->v[s], .k_stride = kn, .v_stride = kn,
        .k_item_stride = (ptrdiff_t)tokens[s] * kn, .v_item_stride = (ptrdiff_t)tokens[s] * kn,
        .tokens = tokens[s], .bias = s ? NULL : x->bias, .bias_item_stride = text,
        .causal = s && latents == queries};
  }
  x->p = (banana_attention){
      .q = x->q, .q_stride = n, .q_item_stride = (ptrdiff_t)queries * n, .out = x->out,
      .out_stride = n, .out_item_stride = (ptrdiff_t)queries * n, .heads = heads,
      .kv_heads = kv_heads, .width = width, .scale = distance / sqrtf((float)width),
      .segment_count = 2, .segments = x->segments};
}

static void discard(problem *x) {
  free(x->q), free(x->out), free(x->bias);
  for (int s = 0; s < 2; s++) free(x->k[s]), free(x->v[s]);
}

// The exact results of a query's head.
static void naive(const problem *x, int item, int r, int h, double *weights, double *result) {
  const banana_attention *p = &x->p;
  const float *query = x->q + item * p->q_item_stride + r * p->q_stride + h * p->width;
  const int text = x->segments[0].tokens, kh = h / (p->heads / p->kv_heads);
  double top = -INFINITY, sum = 0;
  for (int i = 0; i < p->width; i++) result[i] = 0;
  for (int t = 0; t < x->keys; t++) {
    const banana_attention_segment *g = &x->segments[t >= text];
    const int token = t >= text ? t - text : t;
    const float *key = g->k + item * g->k_item_stride + token * g->k_stride + kh * p->width;
    double dot = 0;
    for (int i = 0; i < p->width; i++) dot += (double)query[i] * key[i];
    weights[t] = dot * p->scale + (g->bias ? g->bias[item * text + token] : 0);
    if (g->causal && token > r) weights[t] = -INFINITY;
    top = fmax(top, weights[t]);
  }
  for (int t = 0; t < x->keys; t++) sum += weights[t] = exp(weights[t] - top);
  for (int t = 0; t < x->keys; t++) {
    const banana_attention_segment *g = &x->segments[t >= text];
    const int token = t >= text ? t - text : t;
    const float *value = g->v + item * g->v_item_stride + token * g->v_stride + kh * p->width;
    for (int i = 0; i < p->width; i++) result[i] += weights[t] / sum * value[i];
  }
}

static const float *found(const problem *x, int item, int r, int h) {
  return x->out + item * x->p.out_item_stride + r * x->p.out_stride + h * x->p.width;
}

double banana_check_attention(banana_level level, int queries, int text, int latents, int heads,
                              int kv_heads, int width) {
  const banana_kernels *kernels = banana_kernels_for(level);
  problem x;
  // Some scores are all but alone in their row.
  make(&x, queries, text, latents, heads, kv_heads, width, 16, 1);
  const int group_rows = (queries - queries / 2) * (heads / kv_heads);
  const size_t room = banana_attention_scratch(width, x.keys, group_rows);
  float *scratch = allocate((room + 1) * sizeof(float));
  scratch[room] = 7;
  for (int item = 0; item < ITEMS; item++) {
    for (int h = 0; h < kv_heads; h++) {
      kernels->attention(&x.p, item, h, 0, queries / 2, scratch);
      kernels->attention(&x.p, item, h, queries / 2, queries, scratch);
    }
  }
  double worst = exact(scratch[room], 7);
  double *weights = allocate(x.keys * sizeof(double)), *result = allocate(width * sizeof(double));
  for (int item = 0; item < ITEMS; item++) {
    for (int r = 0; r < queries; r++) {
      for (int h = 0; h < heads; h++) {
        naive(&x, item, r, h, weights, result);
        for (int i = 0; i < width; i++) {
          worst = larger(worst, excess(found(&x, item, r, h)[i], result[i], 1e-5));
        }
      }
    }
  }
  free(scratch), free(weights), free(result);
  discard(&x);
  return worst;
}

// What is left of numbers that are quantized to int8, a scale for each token's head.
static void round_to_int8(float *x, size_t count, int width) {
  for (size_t start = 0; start < count; start += width) {
    float largest = 0;
    for (int i = 0; i < width; i++) largest = fmaxf(largest, fabsf(x[start + i]));
    for (int i = 0; i < width; i++) {
      x[start + i] = rintf(x[start + i] * 127 / largest) * largest / 127;
    }
  }
}

// The naive results of all queries, [item, query, head, channel].
static double *all_results(const problem *x) {
  const int heads = x->p.heads, width = x->p.width;
  double *results = allocate(x->query_count * sizeof(double));
  double *weights = allocate(x->keys * sizeof(double));
  for (int row = 0; row < ITEMS * x->queries; row++) {
    for (int h = 0; h < heads; h++) {
      naive(x, row / x->queries, row % x->queries, h, weights,
            results + ((size_t)row * heads + h) * width);
    }
  }
  free(weights);
  return results;
}

double banana_check_attention_bf16(banana_level level, int queries, int text, int latents,
                                   int heads, int kv_heads, int width, float distance,
                                   float outlier) {
  const banana_kernels *kernels = banana_kernels_for(level);
  if (!kernels->attention_bf16) return 0;
  problem x;
  make(&x, queries, text, latents, heads, kv_heads, width, distance, outlier);
  const size_t room = banana_attention_bf16_scratch(width);
  const size_t pairs = banana_attention_bf16_packed(width, x.keys);
  float *scratch = allocate((room + 1) * sizeof(float));
  uint32_t *packed = allocate((pairs + 1) * sizeof(uint32_t));
  scratch[room] = 7;
  packed[pairs] = 7;
  for (int item = 0; item < ITEMS; item++) {
    for (int h = 0; h < heads; h++) {
      const int kv_head = h / (heads / kv_heads), middle = x.keys / 4 * 2;
      kernels->attention_bf16_pack(&x.p, item, kv_head, 0, middle, packed);
      kernels->attention_bf16_pack(&x.p, item, kv_head, middle, x.keys, packed);
      kernels->attention_bf16(&x.p, item, h, 0, queries / 2, packed, scratch);
      kernels->attention_bf16(&x.p, item, h, queries / 2, queries, packed, scratch);
    }
  }
  const bool is_within = scratch[room] == 7 && packed[pairs] == 7;
  double *expected = all_results(&x), error = 0, allowed = 0;
  round_to_int8(x.q, x.query_count, width);
  for (int s = 0; s < 2; s++) {
    round_to_int8(x.k[s], x.key_counts[s], width);
    round_to_int8(x.v[s], x.key_counts[s], width);
  }
  double *rounded = all_results(&x);
  for (size_t i = 0; i < x.query_count; i++) {
    error += pow(x.out[i] - expected[i], 2);
    allowed += pow(rounded[i] - expected[i], 2);
  }
  free(scratch), free(packed), free(expected), free(rounded);
  discard(&x);
  return is_within && !isnan(error) ? sqrt(error / allowed) : INFINITY;
}
