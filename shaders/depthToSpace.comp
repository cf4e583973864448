#version 450
#extension GL_GOOGLE_include_directive : require
// Blocks of channels as squares of pixels.
#include "include/common.glsl"
#include "include/pixels.glsl"

void main() {
  uint i = elementIndex();
  if (i < count) y[yAt + i] = x[xAt + coarseElement(i)];
}
