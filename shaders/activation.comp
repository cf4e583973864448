#version 450
#extension GL_GOOGLE_include_directive : require
// A function of each element.
#include "include/common.glsl"
#include "include/functions.glsl"

FLOATS(0, x);
FLOATS(1, y);
layout(push_constant, std430) uniform Arguments { uint xAt, yAt, count, activation; };

void main() {
  uint i = elementIndex();
  if (i < count) y[yAt + i] = activate(x[xAt + i], activation);
}
