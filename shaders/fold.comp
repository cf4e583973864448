#version 450
#extension GL_GOOGLE_include_directive : require
// Turns the pixels on both sides of borders along one axis into each other; may be in place. The
// invocation of the pixel behind a border writes both of a pair.
#include "include/common.glsl"

FLOATS(0, x);
// Cosines, then sines, by distance from a border.
FLOATS(1, turns);
FLOATS(2, y);
layout(push_constant, std430) uniform Arguments {
  uint xAt, turnsAt, yAt;
  // Pixels along the axis, and how far apart they are.
  uint count, length_, stride, patch_, overlap;
};

void main() {
  uint i = elementIndex();
  if (i >= count) return;
  uint position = i / stride % length_;
  uint behind = position % patch_;
  uint before = patch_ - 1u - behind;
  bool isRight = position >= patch_ && behind < overlap;
  bool isLeft = position + before + 1u < length_ && before < overlap;
  if (isRight) {
    uint mirrored = i - (2u * behind + 1u) * stride;
    float left = x[xAt + mirrored];
    float right = x[xAt + i];
    float cosine = turns[turnsAt + behind];
    float sine = turns[turnsAt + overlap + behind];
    y[yAt + mirrored] = cosine * left + sine * right;
    y[yAt + i] = cosine * right - sine * left;
  } else if (!isLeft) {
    y[yAt + i] = x[xAt + i];
  }
}
