// Stored weights, in a buffer `w` from word `wAt` on.

// How they are stored.
layout(constant_id = 0) const uint FORMAT = 0u;
const uint FLOAT32 = 0u;
const uint FLOAT16 = 1u;
const uint BFLOAT16 = 2u;
// Blocks of matrices, or rows of tables.
const uint INT8 = 3u;
const uint INT4 = 4u;

uint storedByte(uint i) { return bitfieldExtract(w[wAt + i / 4u], int(i % 4u * 8u), 8); }
uint storedHalf(uint i) { return bitfieldExtract(w[wAt + i / 2u], int(i % 2u * 16u), 16); }
float widened(uint half_) { return unpackHalf2x16(half_).x; }

// Element i of plain numbers.
float plainElement(uint i) {
  if (FORMAT == FLOAT16) return widened(storedHalf(i));
  if (FORMAT == BFLOAT16) return uintBitsToFloat(storedHalf(i) << 16);
  return uintBitsToFloat(w[wAt + i]);
}

float signedByte(uint word, uint i) { return float(bitfieldExtract(int(word), int(i * 8u), 8)); }

// Four inputs of an output as signed bytes; `BlockLayout` says where they lie.
uint int8Quad(uint output_, uint quad, uint quads) {
  return w[wAt + (output_ / 16u * quads + quad) * 16u + output_ % 16u];
}

// The word in which the record of a block and a group of inputs begins.
uint int4Record(uint output_, uint groupIndex_, uint groups, uint group) {
  return (output_ / 16u * groups + groupIndex_) * (8u + 2u * group);
}

float int4Scale(uint output_, uint record) {
  return widened(storedHalf(record * 2u + output_ % 16u));
}

uint int4Quad(uint output_, uint record, uint quadInGroup) {
  uint nibbles = storedHalf(record * 2u + 16u + quadInGroup * 16u + output_ % 16u);
  uint spread = (nibbles & 0xfu) | (nibbles & 0xf0u) << 4 | (nibbles & 0xf00u) << 8
    | (nibbles & 0xf000u) << 12;
  // 8 stands for 0: below it the byte is 0xf8 and more, else what is left.
  return (spread & 0x07070707u) | (~spread & 0x08080808u) * 31u;
}
