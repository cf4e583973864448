#include "../common/vector.h"

#define ELEMENTWISE(expression)                                \
  for (size_t i = 0; i < count; i += 16) {                     \
    const ptrdiff_t left = (ptrdiff_t)(count - i);             \
    store_partial(y + i, expression, left);                    \
  }

void BANANA_NAME(activation)(const float *x, size_t count, int32_t activation, float *y) {
  ELEMENTWISE(activate(load_partial(x + i, left), activation))
}

void BANANA_NAME(gated_activation)(const float *value, const float *gate, size_t count,
                                   int32_t activation, float *y) {
  ELEMENTWISE(load_partial(value + i, left) * activate(load_partial(gate + i, left), activation))
}

void BANANA_NAME(add)(const float *a, const float *b, size_t count, float *y) {
  ELEMENTWISE(load_partial(a + i, left) + load_partial(b + i, left))
}

void BANANA_NAME(multiply)(const float *a, const float *b, size_t count, float *y) {
  ELEMENTWISE(load_partial(a + i, left) * load_partial(b + i, left))
}
