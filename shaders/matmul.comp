#version 450
#extension GL_GOOGLE_include_directive : require
// `x M^T` with a matrix that is a value, `[ceil(out/16), in, 16]`.
#include "include/common.glsl"

FLOATS(0, x);
FLOATS(1, matrix);
FLOATS(2, y);
layout(push_constant, std430) uniform Arguments {
  uint xAt, matrixAt, yAt;
  uint rows, outputs, depth;
};

uint first;
uint input_;

void prepareRows(uint row) { first = row; }
void prepareColumn(uint k) { input_ = k; }
float loadX(uint r) { return x[xAt + (first + r) * depth + input_]; }
float loadWeight(uint n, uint k) {
  return matrix[matrixAt + (n / 16u * depth + k) * 16u + n % 16u];
}
void finish(float sum, uint row, uint n) { y[yAt + row * outputs + n] = sum; }

#include "include/product.glsl"

void main() { multiply(); }
