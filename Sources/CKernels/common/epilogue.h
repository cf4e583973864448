// The way of sixteen outputs of one row from the accumulator to memory.
#ifndef BANANA_EPILOGUE_H
#define BANANA_EPILOGUE_H

#include "vector.h"

// What a low-rank update adds to outputs [column, column + 16) of `row`. Two sums, because one
// would wait for itself.
INLINE f32x16 low_rank(const banana_epilogue *e, int32_t row, ptrdiff_t column) {
  const float *inner = e->inner + (ptrdiff_t)row * e->rank;
  const float *up = e->up + column * e->rank;
  f32x16 even = splat(0), odd = splat(0);
  for (ptrdiff_t k = 0; k < e->rank; k += 2) {
    even = even + splat(inner[k]) * load(up + 16 * k);
    odd = odd + splat(inner[k + 1]) * load(up + 16 * k + 16);
  }
  return even + odd;
}

// Writes outputs [column, column + 16) of `row`, of which `count` exist.
INLINE void finish(const banana_epilogue *e, f32x16 v, int32_t row, ptrdiff_t column,
                   ptrdiff_t count) {
  if (e->bias) v = v + load_partial(e->bias + column, count);
  if (e->inner) v = v + low_rank(e, row, column);
  v = activate(v, e->activation);
  if (e->gate) {
    const ptrdiff_t gate_row = e->gate_rows == 1 ? row : row / e->gate_rows;
    v = v * load_partial(e->gate + gate_row * e->gate_stride + column, count);
  }
  if (e->residual) {
    v = v + load_partial(e->residual + row * e->residual_stride + column, count);
  }
  store_partial(e->y + row * e->y_stride + column, v, count);
}

// The offset of row r, in elements.
INLINE ptrdiff_t row_offset(const banana_rows *rows, int32_t r) {
  if (rows->line_rows == 0) return (ptrdiff_t)r * rows->row_stride;
  const int32_t line = r / rows->line_rows;
  const int32_t x = r - line * rows->line_rows;
  const int32_t item = line / rows->item_lines;
  const int32_t y = line - item * rows->item_lines;
  return item * rows->item_stride + y * rows->line_stride + (ptrdiff_t)x * rows->row_stride;
}

// The next step of at most `limit` when `left` are left, so that the last steps are not tiny.
INLINE int32_t balanced_step(int32_t left, int32_t limit) {
  const int32_t steps = (left + limit - 1) / limit;
  return (left + steps - 1) / steps;
}

#endif
