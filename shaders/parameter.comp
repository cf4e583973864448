#version 450
#extension GL_GOOGLE_include_directive : require
// A stored tensor, in f32 already, as a value.
#include "include/common.glsl"

FLOATS(0, x);
FLOATS(1, y);
layout(push_constant, std430) uniform Arguments { uint xAt, yAt, count; };

void main() {
  uint i = elementIndex();
  if (i < count) y[yAt + i] = x[xAt + i];
}
