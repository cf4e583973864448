#version 450
#extension GL_GOOGLE_include_directive : require
// Each pixel is the sum, over a kernel, of what the pixels under its places have for them.
#include "include/common.glsl"

FLOATS(0, x);
FLOATS(1, y);
layout(push_constant, std430) uniform Arguments {
  uint xAt, yAt;
  uint count, channels, height, width, sourceHeight, sourceWidth, kernelHeight, kernelWidth;
  uint stride, upsampling, paddingTop, paddingLeft;
};

void main() {
  uint i = elementIndex();
  if (i >= count) return;
  uint pixel = i / channels;
  uint item = pixel / width / height;
  int top = int(pixel / width % height * stride) - int(paddingTop);
  int left = int(pixel % width * stride) - int(paddingLeft);
  uint places = kernelHeight * kernelWidth;
  float sum = 0.0;
  for (uint place = 0u; place < places; place++) {
    int line = top + int(place / kernelWidth);
    int column = left + int(place % kernelWidth);
    if (line < 0 || column < 0) continue;
    if (line >= int(sourceHeight * upsampling) || column >= int(sourceWidth * upsampling)) continue;
    uint from = (item * sourceHeight + uint(line) / upsampling) * sourceWidth
      + uint(column) / upsampling;
    sum += x[xAt + (from * places + place) * channels + i % channels];
  }
  y[yAt + i] = sum;
}
