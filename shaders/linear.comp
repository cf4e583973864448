#version 450
#extension GL_GOOGLE_include_directive : require
// `x W^T + bias` and the epilogue: x `[rows, inputs]` f32, or bytes with a scale a row (INTEGER).
#include "include/common.glsl"
#include "include/functions.glsl"
#include "include/epilogue.glsl"

#ifdef INTEGER
WORDS(0, x);
#else
FLOATS(0, x);
#endif
WORDS(1, w);
layout(push_constant, std430) uniform Arguments {
  uint xAt, wAt;
  EPILOGUE_PLACES;
  EPILOGUE_ARGUMENTS;
  uint group, wScalesAt;
  uint scalesAt, scaleRows;
};
#include "include/weights.glsl"
#include "include/matrix.glsl"
#include "include/finish.glsl"

uint first;
uint input_;

void prepareRows(uint row) { first = row; }
void prepareColumn(uint k) { input_ = k; }
#ifdef INTEGER
uint loadX(uint r) { return x[xAt + (first + r) * depth + input_]; }
#else
float loadX(uint r) { return x[xAt + (first + r) * depth + input_]; }
#endif

#include "include/product.glsl"

void main() { multiply(); }
