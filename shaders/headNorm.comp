#version 450
#extension GL_GOOGLE_include_directive : require
// RMS normalization of each head and axial rotary embedding; an invocation a head, so that it may
// be in place.
#include "include/common.glsl"

FLOATS(0, x);
FLOATS(1, weight);
// Cosines, then sines, `[position, width / 2]`: the y axis' pairs, then the x axis'.
FLOATS(2, angles);
FLOATS(3, y);
layout(push_constant, std430) uniform Arguments {
  uint xAt, weightAt, anglesAt, yAt;
  // Heads of all tokens, those of a token, and channels of a head.
  uint count, heads, width;
  // 0: nothing is turned.
  uint positions;
  uint hasWeight;
  float epsilon;
};

void main() {
  uint i = elementIndex();
  if (i >= count) return;
  uint from = xAt + i * width;
  uint to = yAt + i * width;
  float reciprocal = 1.0;
  if (hasWeight != 0u) {
    float squares = 0.0;
    for (uint c = 0u; c < width; c++) squares += x[from + c] * x[from + c];
    reciprocal = 1.0 / sqrt(squares / float(width) + epsilon);
  }
  uint pairs = width / 4u;
  uint position = positions == 0u ? 0u : i / heads % positions;
  if (positions == 0u) {
    for (uint c = 0u; c < width; c++) {
      float v = x[from + c];
      y[to + c] = hasWeight != 0u ? v * (reciprocal * weight[weightAt + c]) : v;
    }
    return;
  }
  for (uint pair = 0u; pair < 2u * pairs; pair++) {
    uint a = pair / pairs * 2u * pairs + pair % pairs;
    uint b = a + pairs;
    float va = x[from + a];
    float vb = x[from + b];
    if (hasWeight != 0u) {
      va *= reciprocal * weight[weightAt + a];
      vb *= reciprocal * weight[weightAt + b];
    }
    uint at = anglesAt + position * 2u * pairs + pair;
    float cosine = angles[at];
    float sine = angles[at + positions * 2u * pairs];
    y[to + a] = va * cosine - vb * sine;
    y[to + b] = vb * cosine + va * sine;
  }
}
