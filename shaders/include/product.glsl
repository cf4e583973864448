// A tile of a matrix product: 32 rows by 32 outputs, 4 by 4 of them an invocation; panels of 16
// inputs (16 quads of bytes where it is of integers) lie in shared memory. Every output is summed in
// the order of its inputs, so that bits depend on nothing else.
//
// Whoever includes it says what lies at a row and an input: `prepareRows(first)` once,
// `prepareColumn(k)` for each panel, then `loadX(row in the tile)` and `loadWeight(output, k)`.
const uint TILE = 32u;
const uint PANEL = 16u;
const uint PITCH = 33u;

#ifdef INTEGER
#define ELEMENT uint
#define ZERO 0u
#else
#define ELEMENT float
#define ZERO 0.0
#endif

shared ELEMENT xPanel[PANEL * PITCH];
shared ELEMENT wPanel[PANEL * PITCH];

void loadPanels(uint firstRow, uint firstOutput, uint first, uint count) {
  uint column = lane() % PANEL;
  bool isInside = first + column < count;
  if (isInside) prepareColumn(first + column);
  for (uint r = lane() / PANEL; r < TILE; r += GROUP / PANEL) {
    xPanel[column * PITCH + r] = isInside && firstRow + r < rows ? loadX(r) : ZERO;
    wPanel[column * PITCH + r] =
      isInside && firstOutput + r < outputs ? loadWeight(firstOutput + r, first + column) : ZERO;
  }
}

#ifdef INTEGER

#ifdef DOT
#extension GL_EXT_spirv_intrinsics : require
// OpSDotKHR of four signed bytes a word.
spirv_instruction(
  extensions = ["SPV_KHR_integer_dot_product"], capabilities = [6019, 6018], id = 4450)
int packedDot(uint a, uint b, spirv_literal int format);
int dotOfBytes(uint a, uint b) { return packedDot(a, b, 0); }
#else
int dotOfBytes(uint a, uint b) {
  int sum = 0;
  for (int i = 0; i < 32; i += 8) {
    sum += bitfieldExtract(int(a), i, 8) * bitfieldExtract(int(b), i, 8);
  }
  return sum;
}
#endif

void multiply() {
  uint tilesAcross = (outputs + TILE - 1u) / TILE;
  uint firstRow = groupIndex() / tilesAcross * TILE;
  uint firstOutput = groupIndex() % tilesAcross * TILE;
  if (firstRow >= rows) return;
  prepareRows(firstRow);
  uint rowLane = lane() / 8u, outputLane = lane() % 8u;
  int sums[16];
  float groupSums[16];
  for (uint i = 0u; i < 16u; i++) {
    sums[i] = 0;
    groupSums[i] = 0.0;
  }
  uint groupQuads = group / 4u;
  for (uint first = 0u; first < depth; first += PANEL) {
    barrier();
    loadPanels(firstRow, firstOutput, first, depth);
    barrier();
    for (uint k = 0u; k < PANEL; k++) {
      for (uint i = 0u; i < 4u; i++) {
        uint a = xPanel[k * PITCH + rowLane + 8u * i];
        for (uint j = 0u; j < 4u; j++) {
          sums[4u * i + j] += dotOfBytes(a, wPanel[k * PITCH + outputLane + 8u * j]);
        }
      }
      if (FORMAT == INT4 && (k + 1u) % groupQuads == 0u && first + k < depth) {
        uint groupIndex_ = (first + k) / groupQuads;
        for (uint j = 0u; j < 4u; j++) {
          uint n = min(firstOutput + outputLane + 8u * j, outputs - 1u);
          float scale = int4Scale(n, int4Record(n, groupIndex_, depth / groupQuads, group));
          for (uint i = 0u; i < 4u; i++) {
            groupSums[4u * i + j] += float(sums[4u * i + j]) * scale;
            sums[4u * i + j] = 0;
          }
        }
      }
    }
  }
  for (uint i = 0u; i < 4u; i++) {
    uint row = firstRow + rowLane + 8u * i;
    if (row >= rows) continue;
    float rowScale = uintBitsToFloat(x[xAt + scalesAt + row / scaleRows]);
    for (uint j = 0u; j < 4u; j++) {
      uint n = firstOutput + outputLane + 8u * j;
      if (n >= outputs) continue;
      float sum = FORMAT == INT4
        ? groupSums[4u * i + j] * rowScale
        : float(sums[4u * i + j]) * (uintBitsToFloat(w[wAt + wScalesAt + n]) * rowScale);
      finish(sum, row, n);
    }
  }
}

#else

void multiply() {
  uint tilesAcross = (outputs + TILE - 1u) / TILE;
  uint firstRow = groupIndex() / tilesAcross * TILE;
  uint firstOutput = groupIndex() % tilesAcross * TILE;
  if (firstRow >= rows) return;
  prepareRows(firstRow);
  uint rowLane = lane() / 8u, outputLane = lane() % 8u;
  float sums[16];
  for (uint i = 0u; i < 16u; i++) sums[i] = 0.0;
  for (uint first = 0u; first < depth; first += PANEL) {
    barrier();
    loadPanels(firstRow, firstOutput, first, depth);
    barrier();
    for (uint k = 0u; k < PANEL; k++) {
      for (uint i = 0u; i < 4u; i++) {
        float a = xPanel[k * PITCH + rowLane + 8u * i];
        for (uint j = 0u; j < 4u; j++) {
          sums[4u * i + j] += a * wPanel[k * PITCH + outputLane + 8u * j];
        }
      }
    }
  }
  for (uint i = 0u; i < 4u; i++) {
    uint row = firstRow + rowLane + 8u * i;
    if (row >= rows) continue;
    for (uint j = 0u; j < 4u; j++) {
      uint n = firstOutput + outputLane + 8u * j;
      if (n < outputs) finish(sums[4u * i + j], row, n);
    }
  }
}

#endif
