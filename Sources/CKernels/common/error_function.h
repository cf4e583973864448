// Included by vector.h.
// erf within 3 ulp: below 1 an odd polynomial, above 1 - exp(-q(x)); both are minimax fits of our
// own (Lawson iteration on Chebyshev nodes).
INLINE f32x16 error_function(f32x16 x) {
  const f32x16 square = x * x;
  f32x16 near = splat(7.889115084e-05f);
  near = near * square - 8.020839949e-04f;
  near = near * square + 5.189535190e-03f;
  near = near * square - 2.685444451e-02f;
  near = near * square + 1.128360017e-01f;
  near = near * square - 3.761262714e-01f;
  near = near * square + 1.128379166e+00f;
  const f32x16 held = minimum(absolute(x), splat(4.0f));
  f32x16 q = splat(1.334545123e-05f);
  q = q * held - 3.181890962e-04f;
  q = q * held + 3.441245964e-03f;
  q = q * held - 2.263863354e-02f;
  q = q * held + 1.033555050e-01f;
  q = q * held + 6.390471933e-01f;
  q = q * held + 1.125956946e+00f;
  q = q * held + 7.484202649e-04f;
  const f32x16 far = 1.0f - exponential(-q);
  const i32x16 sign = (i32x16)x & (i32x16)splat(-0.0f);
  const f32x16 signed_far = (f32x16)((i32x16)far | sign);
  return select16(absolute(x) < 1.0f, near * x, signed_far);
}
