// Which element of `[batch, y / factor, x / factor, factor * factor * channel]` an element of
// `[batch, y, x, channel]` is.
FLOATS(0, x);
FLOATS(1, y);
layout(push_constant, std430) uniform Arguments {
  uint xAt, yAt;
  // Of the fine picture.
  uint count, height, width, channels, factor;
};

uint coarseElement(uint fine) {
  uint pixel = fine / channels;
  uint column = pixel % width;
  uint line = pixel / width % height;
  uint item = pixel / width / height;
  uint coarse = (item * (height / factor) + line / factor) * (width / factor) + column / factor;
  uint place = line % factor * factor + column % factor;
  return (coarse * factor * factor + place) * channels + fine % channels;
}
