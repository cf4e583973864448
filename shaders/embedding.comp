#version 450
#extension GL_GOOGLE_include_directive : require
// Rows of a table by index.
#include "include/common.glsl"

WORDS(0, ids);
WORDS(1, w);
FLOATS(2, y);
layout(push_constant, std430) uniform Arguments {
  uint idsAt, wAt, yAt;
  // The rows that are bound are those from `firstRow` on.
  uint count, width, firstRow, tableRows, group, wScalesAt;
};
#include "include/weights.glsl"

// Element `column` of a row of int4: records of an f16 scale and the group's nibbles.
float int4Element(uint row, uint column) {
  uint record = (row * (width / group) + column / group) * (2u + group / 2u);
  uint byte_ = storedByte(record + 2u + column % group / 2u);
  uint nibble = column % 2u == 0u ? byte_ & 15u : byte_ >> 4;
  // Records are of an even size, so the scale is a half.
  return float(int(nibble) - 8) * widened(storedHalf(record / 2u));
}

void main() {
  uint i = elementIndex();
  if (i >= count) return;
  uint row = ids[idsAt + i / width];
  uint column = i % width;
  float value = 0.0;
  // The first dispatch has zeros for rows that are bound in another, or that no table has.
  bool isBound = row >= firstRow && row < firstRow + tableRows;
  if (!isBound && firstRow > 0u) return;
  if (isBound) {
    uint stored = row - firstRow;
    if (FORMAT == INT8) {
      uint at = stored * width + column;
      value = signedByte(w[wAt + at / 4u], at % 4u) * uintBitsToFloat(w[wAt + wScalesAt + stored]);
    } else if (FORMAT == INT4) {
      value = int4Element(stored, column);
    } else {
      value = plainElement(stored * width + column);
    }
  }
  y[yAt + i] = value;
}
