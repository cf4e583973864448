// Functions of one element. Devices may compute their own ones coarsely (sin to 2^-11, exp to more
// ulp the larger x is); these are the same as the CPU's everywhere.

// e^x within 2 ulp; 0 below -87.3, infinity above 88.3.
float exponential(float x) {
  precise float held = clamp(x, -87.5, 88.3);
  precise float n = roundEven(held * 1.44269504);
  precise float r = (held - n * 0.693359375) - n * -2.12194440e-4;
  float p = 1.0 / 5040.0;
  p = p * r + 1.0 / 720.0;
  p = p * r + 1.0 / 120.0;
  p = p * r + 1.0 / 24.0;
  p = p * r + 1.0 / 6.0;
  p = p * r + 0.5;
  precise float sum = (p * r) * r + r + 1.0;
  float y = sum * intBitsToFloat((int(n) + 127) << 23);
  return x > 88.3 ? INFINITY : x > -87.3 ? y : 0.0;
}

float sigmoid(float x) { return 1.0 / (1.0 + exponential(-x)); }

// erf within 3 ulp: below 1 an odd polynomial, above 1 - exp(-q(x)), with the CPU's numbers.
float errorFunction(float x) {
  float square = x * x;
  float near = 7.889115084e-05;
  near = near * square - 8.020839949e-04;
  near = near * square + 5.189535190e-03;
  near = near * square - 2.685444451e-02;
  near = near * square + 1.128360017e-01;
  near = near * square - 3.761262714e-01;
  near = near * square + 1.128379166e+00;
  float held = min(abs(x), 4.0);
  float q = 1.334545123e-05;
  q = q * held - 3.181890962e-04;
  q = q * held + 3.441245964e-03;
  q = q * held - 2.263863354e-02;
  q = q * held + 1.033555050e-01;
  q = q * held + 6.390471933e-01;
  q = q * held + 1.125956946e+00;
  q = q * held + 7.484202649e-04;
  float far = 1.0 - exponential(-q);
  return abs(x) < 1.0 ? near * x : x < 0.0 ? -far : far;
}

// tanh within 3 ulp: near 0 an odd polynomial; beyond, 1 - 2 / (exp(2 |x|) + 1).
float hyperbolicTangent(float x) {
  float square = x * x;
  float p = -5.468273228e-03;
  p = p * square + 2.041519926e-02;
  p = p * square - 5.366528313e-02;
  p = p * square + 1.333041520e-01;
  p = p * square - 3.333322928e-01;
  precise float near = x + (x * square) * p;
  float far = 1.0 - 2.0 / (exponential(abs(x) * 2.0) + 1.0);
  return abs(x) < 0.65 ? near : x < 0.0 ? -far : far;
}

// The order is that of the graph's activations.
float activate(float x, uint activation) {
  switch (activation) {
    case 1u: return x * sigmoid(x);
    case 2u: return (x * 0.5) * (1.0 + errorFunction(x * 0.707106781));
    case 3u: return x * sigmoid(x * 1.702);
    case 4u: return x < 0.0 ? 0.0 : x;
    case 5u: return hyperbolicTangent(x);
    default: return x;
  }
}

// Cosine and sine for |x| below 8,000, each within 2^-23 of the value: x is brought to an eighth of
// a circle by a pi/2 of three parts (Cody and Waite 1980, "Software Manual for the Elementary
// Functions"; polynomials of Moshier's Cephes).
vec2 circle(float x) {
  precise float n = roundEven(x * 0.636619772);
  precise float r = x - n * 1.5703125;
  r = r - n * 4.837512969970703125e-4;
  r = r - n * 7.54978995489188216e-8;
  float z = r * r;
  float s = ((-1.9515295891e-4 * z + 8.3321608736e-3) * z - 1.6666654611e-1) * z * r + r;
  float c = ((2.443315711809948e-5 * z - 1.388731625493765e-3) * z + 4.166664568298827e-2) * z * z
    - 0.5 * z + 1.0;
  int quarter = int(n) & 3;
  vec2 turned = (quarter & 1) == 0 ? vec2(c, s) : vec2(s, c);
  return vec2(
    quarter == 1 || quarter == 2 ? -turned.x : turned.x, quarter >= 2 ? -turned.y : turned.y);
}
