#version 450
#extension GL_GOOGLE_include_directive : require
// The mean over the tokens that a mask lets through.
#include "include/common.glsl"

FLOATS(0, x);
FLOATS(1, mask);
FLOATS(2, y);
layout(push_constant, std430) uniform Arguments { uint xAt, maskAt, yAt, count, tokens, width; };

void main() {
  uint i = elementIndex();
  if (i >= count) return;
  uint item = i / width;
  float sum = 0.0;
  float total = 0.0;
  for (uint t = 0u; t < tokens; t++) {
    float weight = mask[maskAt + item * tokens + t];
    sum += weight * x[xAt + (item * tokens + t) * width + i % width];
    total += weight;
  }
  y[yAt + i] = sum / max(total, 1e-9);
}
