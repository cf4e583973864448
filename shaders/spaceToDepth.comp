#version 450
#extension GL_GOOGLE_include_directive : require
// Squares of pixels as blocks of channels.
#include "include/common.glsl"
#include "include/pixels.glsl"

void main() {
  uint i = elementIndex();
  if (i < count) y[yAt + coarseElement(i)] = x[xAt + i];
}
