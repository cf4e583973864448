// Included by vector.h.
// tanh within 3 ulp: near 0 an odd polynomial, a minimax fit of our own (Lawson iteration on
// Chebyshev nodes); beyond, 1 - 2 / (exp(2 |x|) + 1) with x's sign.
INLINE f32x16 hyperbolic_tangent(f32x16 x) {
  const f32x16 square = x * x;
  f32x16 p = splat(-5.468273228e-03f);
  p = p * square + 2.041519926e-02f;
  p = p * square - 5.366528313e-02f;
  p = p * square + 1.333041520e-01f;
  p = p * square - 3.333322928e-01f;
  const f32x16 near = x + (x * square) * p;
  const f32x16 far = 1.0f - 2.0f / (exponential(absolute(x) * 2.0f) + 1.0f);
  const i32x16 sign = (i32x16)x & (i32x16)splat(-0.0f);
  const f32x16 y = select16(absolute(x) < 0.65f, near, (f32x16)((i32x16)far | sign));
  return select16(x == x, y, x);
}
