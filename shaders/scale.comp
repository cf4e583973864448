#version 450
#extension GL_GOOGLE_include_directive : require
// `factor x + offset`.
#include "include/common.glsl"

FLOATS(0, x);
FLOATS(1, y);
layout(push_constant, std430) uniform Arguments { uint xAt, yAt, count; float factor, offset; };

void main() {
  uint i = elementIndex();
  if (i < count) y[yAt + i] = factor * x[xAt + i] + offset;
}
