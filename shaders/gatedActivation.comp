#version 450
#extension GL_GOOGLE_include_directive : require
// The first half of the channels times the activation of the second.
#include "include/common.glsl"
#include "include/functions.glsl"

FLOATS(0, x);
FLOATS(1, y);
layout(push_constant, std430) uniform Arguments { uint xAt, yAt, count, width, activation; };

void main() {
  uint i = elementIndex();
  if (i >= count) return;
  uint at = xAt + i / width * 2u * width + i % width;
  y[yAt + i] = x[at] * activate(x[at + width], activation);
}
