#version 450
#extension GL_GOOGLE_include_directive : require
// f32 to signed bytes, `round(x 127 / max |x|)`, a scale a row or an item. Rows: a workgroup each,
// at once. Items: first the largest magnitudes of their parts, then all bytes.
#include "include/common.glsl"
#include "include/reduce.glsl"

FLOATS(0, x);
WORDS(1, y);
layout(push_constant, std430) uniform Arguments {
  uint xAt, yAt;
  uint stage;
  // Rows or items, and elements of each.
  uint rows, width;
  // Words of a row, or of all items.
  uint words;
  // Where the scales are in y.
  uint scalesAt;
};
const uint ROWS = 0u;
const uint MAXIMA = 1u;
const uint ITEMS = 2u;
const uint PARTS = 16u;

uint quantized(float v, float inverse) {
  return uint(int(clamp(roundEven(v * inverse), -127.0, 127.0))) & 0xffu;
}

float inverseOf(float largest) { return largest > 1e-36 ? 127.0 / largest : 0.0; }
float scaleOf(float largest) { return largest > 1e-36 ? largest / 127.0 : 1.0; }

void quantizeRow(uint row) {
  uint start = xAt + row * width;
  float largest = 0.0;
  for (uint i = lane(); i < width; i += GROUP) largest = max(largest, abs(x[start + i]));
  largest = workgroupMaximum(largest);
  float inverse = inverseOf(largest);
  for (uint word = lane(); word < words; word += GROUP) {
    uint bytes_ = 0u;
    for (uint i = 0u; i < 4u && word * 4u + i < width; i++) {
      bytes_ |= quantized(x[start + word * 4u + i], inverse) << (8u * i);
    }
    y[yAt + row * words + word] = bytes_;
  }
  if (lane() == 0u) y[yAt + scalesAt + row] = floatBitsToUint(scaleOf(largest));
}

void findMaximum(uint item, uint part) {
  uint length_ = (width + PARTS - 1u) / PARTS;
  uint end = min(width, (part + 1u) * length_);
  float largest = 0.0;
  for (uint i = part * length_ + lane(); i < end; i += GROUP) {
    largest = max(largest, abs(x[xAt + item * width + i]));
  }
  largest = workgroupMaximum(largest);
  if (lane() == 0u) y[yAt + scalesAt + rows + item * PARTS + part] = floatBitsToUint(largest);
}

float largestOf(uint item) {
  float largest = 0.0;
  for (uint part = 0u; part < PARTS; part++) {
    largest = max(largest, uintBitsToFloat(y[yAt + scalesAt + rows + item * PARTS + part]));
  }
  return largest;
}

void quantizeWord(uint word) {
  uint item = 0xffffffffu;
  float inverse = 0.0;
  uint bytes_ = 0u;
  for (uint i = 0u; i < 4u && word * 4u + i < rows * width; i++) {
    uint at = word * 4u + i;
    if (at / width != item) {
      item = at / width;
      float largest = largestOf(item);
      inverse = inverseOf(largest);
      if (at % width == 0u) y[yAt + scalesAt + item] = floatBitsToUint(scaleOf(largest));
    }
    bytes_ |= quantized(x[xAt + at], inverse) << (8u * i);
  }
  y[yAt + word] = bytes_;
}

void main() {
  if (stage == ROWS) {
    if (groupIndex() < rows) quantizeRow(groupIndex());
  } else if (stage == MAXIMA) {
    if (groupIndex() < rows * PARTS) findMaximum(groupIndex() / PARTS, groupIndex() % PARTS);
  } else if (elementIndex() < words) {
    quantizeWord(elementIndex());
  }
}
