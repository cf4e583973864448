// What a matrix product does to a sum. The operands are bound behind the product's own two.
FLOATS(2, bias);
FLOATS(3, gate);
FLOATS(4, residual);
FLOATS(5, inner);
FLOATS(6, up);
FLOATS(7, y);

#define EPILOGUE_PLACES uint biasAt, gateAt, residualAt, innerAt, upAt, yAt
// `outputs` are bound, from output `start` of `width` on.
#define EPILOGUE_ARGUMENTS \
  uint rows, outputs, depth, flags, activation, rank, itemRows, start, width

const uint HAS_BIAS = 1u;
const uint HAS_RESIDUAL = 2u;
const uint HAS_UPDATE = 4u;
const uint GATE_FULL = 8u;
const uint GATE_ROW = 16u;
const uint GATE_ITEM = 32u;
