#version 450
#extension GL_GOOGLE_include_directive : require
// RMS or layer normalization of a row; a workgroup a row, so that it may be in place.
#include "include/common.glsl"
#include "include/functions.glsl"
#include "include/reduce.glsl"

FLOATS(0, x);
FLOATS(1, weight);
FLOATS(2, bias);
FLOATS(3, modulation);
FLOATS(4, shift);
FLOATS(5, y);
layout(push_constant, std430) uniform Arguments {
  uint xAt, weightAt, biasAt, modulationAt, shiftAt, yAt;
  uint rows, width, itemRows, flags, activation;
  float epsilon;
};
const uint IS_LAYER = 1u;
const uint HAS_WEIGHT = 2u;
const uint HAS_BIAS = 4u;
const uint IS_MODULATED = 8u;

void main() {
  uint row = groupIndex();
  if (row >= rows) return;
  uint start = xAt + row * width;
  float mean = 0.0;
  if ((flags & IS_LAYER) != 0u) {
    float sum = 0.0;
    for (uint i = lane(); i < width; i += GROUP) sum += x[start + i];
    mean = workgroupSum(sum) / float(width);
  }
  float squares = 0.0;
  for (uint i = lane(); i < width; i += GROUP) {
    float difference = x[start + i] - mean;
    squares += difference * difference;
  }
  float reciprocal = 1.0 / sqrt(workgroupSum(squares) / float(width) + epsilon);
  for (uint i = lane(); i < width; i += GROUP) {
    float v = (x[start + i] - mean) * reciprocal;
    if ((flags & HAS_WEIGHT) != 0u) v *= weight[weightAt + i];
    if ((flags & HAS_BIAS) != 0u) v += bias[biasAt + i];
    if ((flags & IS_MODULATED) != 0u) {
      uint at = row / itemRows * width + i;
      v = v * (1.0 + modulation[modulationAt + at]) + shift[shiftAt + at];
    }
    y[yAt + row * width + i] = activate(v, activation);
  }
}
