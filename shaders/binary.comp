#version 450
#extension GL_GOOGLE_include_directive : require
// A sum or product, element by element; the second operand may be a row, or a row an item.
#include "include/common.glsl"

FLOATS(0, a);
FLOATS(1, b);
FLOATS(2, y);
layout(push_constant, std430) uniform Arguments {
  uint aAt, bAt, yAt;
  // Elements of b's row; of an item, 0 where all items share the row.
  uint count, width, itemCount, isProduct;
};

void main() {
  uint i = elementIndex();
  if (i >= count) return;
  uint at = i % width + (itemCount == 0u ? 0u : i / itemCount * width);
  float other = b[bAt + at];
  float own = a[aAt + i];
  y[yAt + i] = isProduct != 0u ? own * other : own + other;
}
