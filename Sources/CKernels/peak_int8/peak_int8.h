// The including file defines CHAINS, `accumulator`, OPERATIONS (in one step, a multiply-add counts
// two), `start(n)`, `step(acc, n)` and `first_lane(acc)`.
double BANANA_NAME(peak_int8)(int64_t iterations, int32_t *sink) {
  accumulator acc[CHAINS];
  const accumulator operand = start(*sink);
  UNROLL for (int i = 0; i < CHAINS; i++) acc[i] = start(i);
  for (int64_t n = 0; n < iterations; n++) {
    UNROLL for (int i = 0; i < CHAINS; i++) acc[i] = step(acc[i], operand);
  }
  int32_t sum = 0;
  UNROLL for (int i = 0; i < CHAINS; i++) sum ^= first_lane(acc[i]);
  *sink = sum;
  return (double)iterations * CHAINS * OPERATIONS;
}
