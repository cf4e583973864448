#version 450
#extension GL_GOOGLE_include_directive : require
// A convolution as a matrix product whose rows, the patches, are never in memory: x
// `[batch, y, x, channel]` f32, or bytes with a scale an item (INTEGER).
#include "include/common.glsl"
#include "include/functions.glsl"
#include "include/epilogue.glsl"

#ifdef INTEGER
WORDS(0, x);
#else
FLOATS(0, x);
#endif
WORDS(1, w);
layout(push_constant, std430) uniform Arguments {
  uint xAt, wAt;
  EPILOGUE_PLACES;
  EPILOGUE_ARGUMENTS;
  uint group, wScalesAt;
  uint scalesAt, scaleRows;
  // Of x, of the result, and of the kernel: two numbers of 16 bits each, y's above x's.
  uint sourceSize, channels, resultSize, kernelSize;
  // Stride and upsampling; rows above and columns to the left.
  uint steps, padding;
  // Of a patch: what `depth` has beyond is zeros.
  uint patchInputs;
};
#include "include/weights.glsl"
#include "include/matrix.glsl"
#include "include/finish.glsl"

// The first line and column under a patch, and its item.
shared ivec3 patches[32];

void prepareRows(uint row) {
  if (lane() < 32u) {
    uint width = resultSize & 0xffffu;
    uint height = resultSize >> 16;
    uint at = row + lane();
    int stride = int(steps >> 16);
    patches[lane()] = ivec3(
      int(at / width % height) * stride - int(padding >> 16),
      int(at % width) * stride - int(padding & 0xffffu), int(at / (width * height)));
  }
}

// Where element `k` of the patch in row r lies in x; -1 among the zeros around it.
struct PatchPlace {
  ivec2 offset;
  uint channel;
};

PatchPlace patchPlace(uint k) {
  uint place = k / channels;
  uint width = kernelSize & 0xffffu;
  return PatchPlace(ivec2(place / width, place % width), k % channels);
}

int elementAt(uint r, PatchPlace place) {
  ivec2 size = ivec2(sourceSize >> 16, sourceSize & 0xffffu);
  int upsampling = int(steps & 0xffffu);
  ivec2 fine = patches[r].xy + place.offset;
  if (any(lessThan(fine, ivec2(0))) || any(greaterThanEqual(fine, size * upsampling))) return -1;
  ivec2 pixel = fine / upsampling;
  return ((patches[r].z * size.x + pixel.x) * size.y + pixel.y) * int(channels)
    + int(place.channel);
}

#ifdef INTEGER
PatchPlace places[4];
bool isWhole;
uint inputs;

void prepareColumn(uint quad) {
  // Where channels fill whole words, so does each quad.
  isWhole = channels % 4u == 0u;
  inputs = min(4u, patchInputs - min(patchInputs, quad * 4u));
  for (uint i = 0u; i < (isWhole ? 1u : 4u); i++) places[i] = patchPlace(quad * 4u + i);
}

uint loadX(uint r) {
  if (inputs == 0u) return 0u;
  if (isWhole) {
    int at = elementAt(r, places[0]);
    return at < 0 ? 0u : x[xAt + uint(at) / 4u];
  }
  uint word = 0u;
  for (uint i = 0u; i < inputs; i++) {
    int at = elementAt(r, places[i]);
    uint byte_ = at < 0 ? 0u : bitfieldExtract(x[xAt + uint(at) / 4u], at % 4 * 8, 8);
    word |= byte_ << (8u * i);
  }
  return word;
}
#else
PatchPlace place_;

void prepareColumn(uint k) { place_ = patchPlace(k); }

float loadX(uint r) {
  int at = elementAt(r, place_);
  return at < 0 ? 0.0 : x[xAt + uint(at)];
}
#endif

#include "include/product.glsl"

void main() { multiply(); }
