#version 450
#extension GL_GOOGLE_include_directive : require
// Normalization of a stretch of channels over all pixels of an item; a workgroup each, so that it
// may be in place.
#include "include/common.glsl"
#include "include/functions.glsl"
#include "include/reduce.glsl"

FLOATS(0, x);
FLOATS(1, weight);
FLOATS(2, bias);
FLOATS(3, y);
layout(push_constant, std430) uniform Arguments {
  uint xAt, weightAt, biasAt, yAt;
  // Pixels of an item; channels in all and of a group.
  uint items, pixels, channels, width, flags, activation;
  float epsilon;
};
const uint HAS_WEIGHT = 1u;
const uint HAS_BIAS = 2u;

void main() {
  uint groups = channels / width;
  uint item = groupIndex() / groups;
  if (item >= items) return;
  uint group = groupIndex() % groups;
  uint start = item * pixels * channels + group * width;
  uint count = pixels * width;
  float sum = 0.0;
  for (uint i = lane(); i < count; i += GROUP) {
    sum += x[xAt + start + i / width * channels + i % width];
  }
  float mean = workgroupSum(sum) / float(count);
  float squares = 0.0;
  for (uint i = lane(); i < count; i += GROUP) {
    float difference = x[xAt + start + i / width * channels + i % width] - mean;
    squares += difference * difference;
  }
  float reciprocal = 1.0 / sqrt(workgroupSum(squares) / float(count) + epsilon);
  for (uint i = lane(); i < count; i += GROUP) {
    uint at = start + i / width * channels + i % width;
    uint channel = group * width + i % width;
    float v = (x[xAt + at] - mean) * reciprocal;
    if ((flags & HAS_WEIGHT) != 0u) v *= weight[weightAt + channel];
    if ((flags & HAS_BIAS) != 0u) v += bias[biasAt + channel];
    y[yAt + at] = activate(v, activation);
  }
}
