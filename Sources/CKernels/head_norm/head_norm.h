#include "../common/vector.h"

INLINE void rotate(const float *x, float *y, const float *cosine, const float *sine,
                   int32_t half) {
  for (int32_t i = 0; i < half; i += 16) {
    const ptrdiff_t count = half - i;
    const f32x16 a = load_partial(x + i, count), b = load_partial(x + half + i, count);
    const f32x16 c = load_partial(cosine + i, count), s = load_partial(sine + i, count);
    store_partial(y + i, a * c - b * s, count);
    store_partial(y + half + i, b * c + a * s, count);
  }
}

INLINE void normalize(const float *x, float *y, const float *weight, int32_t width,
                      float epsilon) {
  f32x16 sum = splat(0);
  for (int32_t i = 0; i < width; i += 16) {
    const f32x16 v = load_partial(x + i, width - i);
    sum = sum + v * v;
  }
  const float inverse = 1.0f / __builtin_sqrtf(reduce_add(sum) / (float)width + epsilon);
  for (int32_t i = 0; i < width; i += 16) {
    const ptrdiff_t count = width - i;
    const f32x16 v = load_partial(x + i, count) * inverse * load_partial(weight + i, count);
    store_partial(y + i, v, count);
  }
}

void BANANA_NAME(head_norm)(const banana_head_norm *p, int32_t row0, int32_t row1) {
  for (int32_t r = row0; r < row1; r++) {
    const ptrdiff_t table = p->cosine ? (ptrdiff_t)(r % p->positions) * (p->width / 2) : 0;
    for (int32_t h = 0; h < p->heads; h++) {
      const float *x = p->x + r * p->x_stride + h * p->width;
      float *y = p->y + r * p->y_stride + h * p->width;
      if (p->weight) {
        normalize(x, y, p->weight, p->width, p->epsilon);
        x = y;
      }
      if (p->cosine) {
        const int32_t half = p->stretch / 2;
        for (int32_t s = 0; s < p->width; s += p->stretch) {
          rotate(x + s, y + s, p->cosine + table + s / 2, p->sine + table + s / 2, half);
        }
      } else if (!p->weight && x != y) {
        memcpy(y, x, p->width * sizeof(float));
      }
    }
  }
}
