#version 450
#extension GL_GOOGLE_include_directive : require
// Grouped-query attention with a running softmax (Milakov and Gimelshein 2018, "Online normalizer
// calculation for softmax"; Dao et al. 2022, "FlashAttention"): a workgroup takes four queries of a
// head, 64 keys at a time. They are in shared memory before anything is written, so that it may be
// in place.
#include "include/common.glsl"
#include "include/functions.glsl"

FLOATS(0, q);
FLOATS(1, firstKeys);
FLOATS(2, firstValues);
FLOATS(3, firstBias);
FLOATS(4, secondKeys);
FLOATS(5, secondValues);
FLOATS(6, secondBias);
FLOATS(7, y);
layout(push_constant, std430) uniform Arguments {
  uint qAt, firstKeysAt, firstValuesAt, firstBiasAt;
  uint secondKeysAt, secondValuesAt, secondBiasAt, yAt;
  uint items, tokens, heads, sharing;
  // Keys of the segments; 0 where there is no second one.
  uint firstCount, secondCount;
  uint flags;
  float scale;
};
const uint HAS_BIAS = 1u;
const uint IS_CAUSAL = 2u;
// The second segment's are behind the first one's.
const uint SEGMENT_BITS = 2u;

// Channels of a head, and how many of them an invocation has.
layout(constant_id = 0) const uint WIDTH = 64u;
layout(constant_id = 1) const uint OWN = 1u;
const uint QUERIES = 4u;

shared float queries[QUERIES * WIDTH];
shared float scores[QUERIES * GROUP];
shared float tops[QUERIES];
shared float rescales[QUERIES];

float sums[QUERIES * OWN];
float totals[QUERIES];

float key(uint segment, uint at) {
  return segment == 0u ? firstKeys[firstKeysAt + at] : secondKeys[secondKeysAt + at];
}
float value(uint segment, uint at) {
  return segment == 0u ? firstValues[firstValuesAt + at] : secondValues[secondValuesAt + at];
}
float bias(uint segment, uint at) {
  return segment == 0u ? firstBias[firstBiasAt + at] : secondBias[secondBiasAt + at];
}

// What the queries make of 64 keys from `first` on. Keys of an item begin at `start`.
void attend(uint segment, uint first, uint count, uint item, uint query, uint start, uint stride) {
  uint own = first + lane();
  uint form = flags >> (segment * SEGMENT_BITS);
  float found[QUERIES];
  for (uint i = 0u; i < QUERIES; i++) found[i] = 0.0;
  if (own < count) {
    uint at = start + own * stride;
    for (uint c = 0u; c < WIDTH; c++) {
      float k = key(segment, at + c);
      for (uint i = 0u; i < QUERIES; i++) found[i] += queries[i * WIDTH + c] * k;
    }
  }
  float added = (form & HAS_BIAS) != 0u && own < count ? bias(segment, item * count + own) : 0.0;
  for (uint i = 0u; i < QUERIES; i++) {
    bool isHidden = own >= count || ((form & IS_CAUSAL) != 0u && own > query + i);
    scores[i * GROUP + lane()] = isHidden ? -INFINITY : found[i] * scale + added;
  }
  barrier();
  if (lane() < QUERIES) {
    float before = tops[lane()];
    float top = before;
    for (uint j = 0u; j < GROUP; j++) top = max(top, scores[lane() * GROUP + j]);
    tops[lane()] = top;
    // Where all so far is hidden, both are -infinity.
    rescales[lane()] = before == top ? 1.0 : exponential(before - top);
  }
  barrier();
  for (uint i = 0u; i < QUERIES; i++) {
    uint at = i * GROUP + lane();
    float score = scores[at];
    scores[at] = score == -INFINITY ? 0.0 : exponential(score - tops[i]);
    totals[i] *= rescales[i];
    for (uint c = 0u; c < OWN; c++) sums[i * OWN + c] *= rescales[i];
  }
  barrier();
  uint end = min(GROUP, count - first);
  for (uint j = 0u; j < end; j++) {
    uint at = start + (first + j) * stride + lane();
    for (uint i = 0u; i < QUERIES; i++) totals[i] += scores[i * GROUP + j];
    for (uint c = 0u; c < OWN; c++) {
      if (lane() + c * GROUP >= WIDTH) break;
      float v = value(segment, at + c * GROUP);
      for (uint i = 0u; i < QUERIES; i++) sums[i * OWN + c] += scores[i * GROUP + j] * v;
    }
  }
  barrier();
}

void main() {
  uint tiles = (tokens + QUERIES - 1u) / QUERIES;
  uint query = groupIndex() % tiles * QUERIES;
  uint head = groupIndex() / tiles % heads;
  uint item = groupIndex() / tiles / heads;
  if (item >= items) return;
  uint stride = heads * WIDTH;
  for (uint i = lane(); i < QUERIES * WIDTH; i += GROUP) {
    uint token = query + i / WIDTH;
    queries[i] = token < tokens
      ? q[qAt + (item * tokens + token) * stride + head * WIDTH + i % WIDTH] : 0.0;
  }
  if (lane() < QUERIES) tops[lane()] = -INFINITY;
  for (uint i = 0u; i < QUERIES; i++) totals[i] = 0.0;
  for (uint i = 0u; i < QUERIES * OWN; i++) sums[i] = 0.0;
  barrier();
  uint sharedStride = heads / sharing * WIDTH;
  for (uint segment = 0u; segment < 2u; segment++) {
    uint count = segment == 0u ? firstCount : secondCount;
    bool isCausal = (flags >> (segment * SEGMENT_BITS) & IS_CAUSAL) != 0u;
    uint end = isCausal ? min(count, query + QUERIES) : count;
    uint start = item * count * sharedStride + head / sharing * WIDTH;
    for (uint first = 0u; first < end; first += GROUP) {
      attend(segment, first, count, item, query, start, sharedStride);
    }
  }
  for (uint i = 0u; i < QUERIES; i++) {
    if (query + i >= tokens) break;
    for (uint c = 0u; c < OWN; c++) {
      uint channel = lane() + c * GROUP;
      if (channel >= WIDTH) break;
      y[yAt + (item * tokens + query + i) * stride + head * WIDTH + channel] =
        sums[i * OWN + c] / totals[i];
    }
  }
}
