#include "../common/vector.h"
#define BANANA_SET portable
#define CHAINS 2
#define OPERATIONS 128
typedef i32x16 accumulator;
#define start(n) splat_i32(n)
// Four inputs an output, as in linear_int8.
INLINE accumulator step(accumulator acc, accumulator n) {
  return acc + ((acc << 24) >> 24) * n + ((acc << 16) >> 24) * n + ((acc << 8) >> 24) * n +
         (acc >> 24) * n;
}
#define first_lane(acc) acc[0]
#include "peak_int8.h"
