#version 450
#extension GL_GOOGLE_include_directive : require
// Cosines, then sines, of scalars times frequencies.
#include "include/common.glsl"
#include "include/functions.glsl"

FLOATS(0, x);
FLOATS(1, frequencies);
FLOATS(2, y);
layout(push_constant, std430) uniform Arguments {
  uint xAt, frequenciesAt, yAt;
  uint count, pairs;
  float scale;
};

void main() {
  uint i = elementIndex();
  if (i >= count) return;
  uint row = i / pairs;
  uint pair = i % pairs;
  vec2 turned = circle(scale * x[xAt + row] * frequencies[frequenciesAt + pair]);
  y[yAt + row * 2u * pairs + pair] = turned.x;
  y[yAt + row * 2u * pairs + pairs + pair] = turned.y;
}
