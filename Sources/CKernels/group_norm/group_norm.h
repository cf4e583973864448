#include "../common/vector.h"

// Rows whose sums are taken in f32, and floats that are read twice while they are near.
#define BLOCK_ROWS 256
#define BLOCK_FLOATS 32768

// The sums over the rows of x [rows, n] of each channel's difference from `shift`, and of their
// squares.
static void channel_sums(const float *x, int32_t rows, int32_t n, const float *shift, float *sums,
                         float *squares) {
  for (int32_t i = 0; i < n; i += 16) {
    const ptrdiff_t count = n - i;
    const f32x16 s = load_partial(shift + i, count);
    f32x16 sum0 = splat(0), sum1 = splat(0), square0 = splat(0), square1 = splat(0);
    const float *row = x + i;
    for (int32_t r = 0; r + 2 <= rows; r += 2, row += 2 * (ptrdiff_t)n) {
      const f32x16 d0 = load_partial(row, count) - s, d1 = load_partial(row + n, count) - s;
      sum0 = sum0 + d0;
      sum1 = sum1 + d1;
      square0 = square0 + d0 * d0;
      square1 = square1 + d1 * d1;
    }
    if (rows % 2) {
      const f32x16 d = load_partial(row, count) - s;
      sum0 = sum0 + d;
      square0 = square0 + d * d;
    }
    store_partial(sums + i, sum0 + sum1, count);
    store_partial(squares + i, square0 + square1, count);
  }
}

INLINE double sum_of(const float *x, int32_t count) {
  double sum = 0;
  for (int32_t i = 0; i < count; i++) sum += x[i];
  return sum;
}

// A block at a time, in two passes with the second one's sum as a correction, joined as in Chan et
// al. 1983, "Algorithms for Computing the Sample Variance": means far from 0 cost nothing.
void BANANA_NAME(group_statistics)(const float *x, int32_t rows, int32_t n, int32_t groups,
                                   float *scratch, double (*statistics)[2]) {
  const int32_t width = n / groups;
  float *shift = scratch, *sums = scratch + n, *squares = sums + n;
  int32_t limit = BLOCK_FLOATS / n < BLOCK_ROWS ? BLOCK_FLOATS / n : BLOCK_ROWS;
  if (limit < 1) limit = 1;
  for (int32_t row = 0, block; row < rows; row += block) {
    block = rows - row < limit ? rows - row : limit;
    const float *start = x + (ptrdiff_t)row * n;
    const double before = (double)row * width, count = (double)block * width;
    memset(shift, 0, (size_t)n * sizeof(float));
    channel_sums(start, block, n, shift, sums, squares);
    for (int32_t g = 0; g < groups; g++) {
      const float mean = (float)(sum_of(sums + g * width, width) / count);
      for (int32_t i = 0; i < width; i++) shift[g * width + i] = mean;
    }
    channel_sums(start, block, n, shift, sums, squares);
    for (int32_t g = 0; g < groups; g++) {
      const double correction = sum_of(sums + g * width, width) / count;
      const double mean = shift[g * width] + correction;
      const double deviations =
          sum_of(squares + g * width, width) - correction * correction * count;
      double *joined = statistics[g];
      if (row == 0) {
        joined[0] = mean;
        joined[1] = deviations;
        continue;
      }
      const double difference = mean - joined[0], share = count / (before + count);
      joined[0] += difference * share;
      joined[1] += deviations + difference * difference * before * share;
    }
  }
}

void BANANA_NAME(group_norm)(const banana_group_norm *p, int32_t row0, int32_t row1) {
  for (int32_t r = row0; r < row1; r++) {
    const float *x = p->x + (ptrdiff_t)r * p->n;
    float *y = p->y + (ptrdiff_t)r * p->n;
    for (int32_t i = 0; i < p->n; i += 16) {
      const ptrdiff_t count = p->n - i;
      const f32x16 d = load_partial(x + i, count) - load_partial(p->mean + i, count);
      const f32x16 v = d * load_partial(p->scale + i, count) + load_partial(p->bias + i, count);
      store_partial(y + i, activate(v, p->activation), count);
    }
  }
}
