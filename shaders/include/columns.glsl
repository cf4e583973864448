// Copies columns from rows of one width into rows of another.
FLOATS(0, x);
FLOATS(1, y);
layout(push_constant, std430) uniform Arguments {
  uint xAt, yAt;
  uint count, columns, sourceWidth, sourceColumn, targetWidth, targetColumn;
};

void main() {
  uint i = elementIndex();
  if (i >= count) return;
  uint row = i / columns;
  uint column = i % columns;
  y[yAt + row * targetWidth + targetColumn + column] =
    x[xAt + row * sourceWidth + sourceColumn + column];
}
