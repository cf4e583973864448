// The weight that a product multiplies with, `[out, inputs]` in any stored form. Included behind
// the arguments.
#ifdef INTEGER
// `depth` counts quads; those of int4 fill whole groups.
uint loadWeight(uint n, uint quad) {
  if (FORMAT == INT4) {
    uint groupQuads = group / 4u;
    uint record = int4Record(n, quad / groupQuads, depth / groupQuads, group);
    return int4Quad(n, record, quad % groupQuads);
  }
  return int8Quad(n, quad, depth);
}
#else
float loadWeight(uint n, uint k) {
  if (FORMAT == INT8) {
    float q = signedByte(int8Quad(n, k / 4u, (depth + 3u) / 4u), k % 4u);
    return q * uintBitsToFloat(w[wAt + wScalesAt + n]);
  }
  if (FORMAT == INT4) {
    uint record = int4Record(n, k / group, (depth + group - 1u) / group, group);
    return signedByte(int4Quad(n, record, k % group / 4u), k % 4u) * int4Scale(n, record);
  }
  return plainElement(n * depth + k);
}
#endif
