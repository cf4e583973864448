// From a sum to the result. Included behind the arguments.
void finish(float sum, uint row, uint bound) {
  uint n = start + bound;
  float v = sum;
  if ((flags & HAS_BIAS) != 0u) v += bias[biasAt + n];
  if ((flags & HAS_UPDATE) != 0u) {
    float update = 0.0;
    for (uint k = 0u; k < rank; k++) {
      update += inner[innerAt + row * rank + k] * up[upAt + (n / 16u * rank + k) * 16u + n % 16u];
    }
    v += update;
  }
  v = activate(v, activation);
  if ((flags & GATE_FULL) != 0u) v *= gate[gateAt + row * width + n];
  if ((flags & GATE_ROW) != 0u) v *= gate[gateAt + n];
  if ((flags & GATE_ITEM) != 0u) v *= gate[gateAt + row / itemRows * width + n];
  if ((flags & HAS_RESIDUAL) != 0u) v += residual[residualAt + row * width + n];
  y[yAt + row * width + n] = v;
}
