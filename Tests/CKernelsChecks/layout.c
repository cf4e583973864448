#include "random.h"

double banana_check_pack(int n, int k) {
  uint64_t seed = (uint64_t)n * 1009 + k;
  const int quads = (k + 3) / 4, blocks = (n + 15) / 16;
  float *w = random_floats((size_t)n * k, &seed), *scale = random_floats(n, &seed);
  float *packed = allocate((size_t)blocks * 16 * k * sizeof(float));
  uint16_t *half = allocate((size_t)n * k * 2);
  int8_t *q = allocate((size_t)blocks * quads * 64);
  double worst = 0;
  // bf16 is the upper half of an f32; f16 by the compiler's own conversion.
  for (int pass = 0; pass < 3; pass++) {
    for (int i = 0; i < n * k; i++) {
      const _Float16 h = (_Float16)(i % 3 == 0 ? w[i] * 1e-6f : w[i] * 1000);
      uint32_t bits;
      memcpy(&bits, &w[i], 4);
      half[i] = (uint16_t)(bits >> 16);
      if (pass == 1) memcpy(&half[i], &h, 2);
    }
    const banana_storage storage[] = {BANANA_STORAGE_F32, BANANA_STORAGE_F16, BANANA_STORAGE_BF16};
    banana_pack_f32(pass ? (const void *)half : w, storage[pass], n, k, packed);
    for (int o = 0; o < blocks * 16; o++) {
      for (int i = 0; i < k; i++) {
        float expected = 0;
        if (o < n) {
          _Float16 h;
          const uint32_t bits = (uint32_t)half[(size_t)o * k + i] << 16;
          memcpy(&h, &half[(size_t)o * k + i], 2);
          expected = w[(size_t)o * k + i];
          if (pass == 1) expected = (float)h;
          if (pass == 2) memcpy(&expected, &bits, 4);
        }
        worst = larger(worst, exact(packed[((size_t)(o / 16) * k + i) * 16 + o % 16], expected));
      }
    }
  }
  for (int i = 0; i < blocks * quads * 64; i++) q[i] = random_int8(&seed);
  banana_pack_int8(q, scale, n, k, packed);
  for (int o = 0; o < n; o++) {
    for (int i = 0; i < k; i++) {
      const int8_t v = q[(((size_t)(o / 16) * quads + i / 4) * 16 + o % 16) * 4 + i % 4];
      worst = larger(worst, exact(packed[((size_t)(o / 16) * k + i) * 16 + o % 16], v * scale[o]));
    }
  }
  free(w), free(scale), free(packed), free(half), free(q);
  return worst;
}

double banana_check_embedding(int rows, int width) {
  uint64_t seed = (uint64_t)rows * 1009 + width;
  float *table = random_floats((size_t)rows * width, &seed), *scale = random_floats(rows, &seed);
  float *y = allocate(width * sizeof(float));
  int8_t *q = allocate((size_t)rows * width);
  uint8_t *q4 = allocate((size_t)rows * width / 32 * 18);
  for (int i = 0; i < rows * width; i++) q[i] = random_int8(&seed);
  for (int i = 0; i < rows * width / 32 * 18; i++) q4[i] = (uint8_t)next_random(&seed);
  const uint16_t quarter = 0x3400;
  for (int i = 0; i < rows * width / 32; i++) memcpy(q4 + i * 18, &quarter, 2);
  double worst = 0;
  for (int r = 0; r < rows; r++) {
    banana_embedding_plain(table, BANANA_STORAGE_F32, width, r, y);
    for (int i = 0; i < width; i++) worst = larger(worst, exact(y[i], table[r * width + i]));
    banana_embedding_int8(q, scale, width, r, y);
    for (int i = 0; i < width; i++) worst = larger(worst, exact(y[i], q[r * width + i] * scale[r]));
    banana_embedding_int4(q4, 32, width, r, y);
    for (int i = 0; i < width; i++) {
      const uint8_t byte = q4[(r * width + i) / 32 * 18 + 2 + i % 32 / 2];
      const int v = (i % 2 ? byte >> 4 : byte & 15) - 8;
      worst = larger(worst, exact(y[i], v * 0.25));
    }
  }
  free(table), free(scale), free(y), free(q), free(q4);
  return worst;
}

double banana_check_pixels(int h, int w, int c, int factor) {
  uint64_t seed = (uint64_t)h * 1009 + w;
  const size_t count = (size_t)h * w * c * factor * factor;
  float *x = random_floats(count, &seed), *y = allocate(count * 4), *back = allocate(count * 4);
  banana_depth_to_space(x, w, c, factor, 0, h / 2, y);
  banana_depth_to_space(x, w, c, factor, h / 2, h, y);
  banana_space_to_depth(y, w, c, factor, 0, h, back);
  double worst = 0;
  for (size_t i = 0; i < count; i++) {
    const int channel = i % c, px = i / c % (w * factor), py = i / c / (w * factor);
    const size_t source = ((size_t)(py / factor) * w + px / factor) * c * factor * factor +
                          (size_t)(py % factor * factor + px % factor) * c + channel;
    worst = larger(worst, exact(y[i], x[source]));
    worst = larger(worst, exact(back[i], x[i]));
  }
  free(x), free(y), free(back);
  return worst;
}

double banana_check_patches(int h, int w, int kernel_h, int kernel_w, int padding, int stride,
                            int upsampling) {
  uint64_t seed = (uint64_t)h * 1009 + w;
  const int c = 3, k = kernel_h * kernel_w * c, row_stride = k + 5;
  const int height = h * upsampling, width = w * upsampling;
  // Patches that begin on every pixel, and before and behind the picture.
  const int lines = (height + padding) / stride + 1, columns = (width + padding) / stride + 1;
  uint8_t *x = allocate((size_t)h * w * c);
  uint8_t *panel = allocate((size_t)lines * columns * row_stride);
  for (int i = 0; i < h * w * c; i++) x[i] = (uint8_t)next_random(&seed);
  const banana_patches p = {.x = x, .h = h, .w = w, .upsampling = upsampling, .pixel_bytes = c,
                            .kernel_h = kernel_h, .kernel_w = kernel_w, .padding_top = padding,
                            .padding_left = padding, .stride = stride, .columns = columns,
                            .padding = 0x80, .row_stride = row_stride};
  const int half = lines * columns / 2;
  banana_convolution_patches(&p, 0, half, panel);
  banana_convolution_patches(&p, half, lines * columns, panel + (size_t)half * row_stride);
  double worst = 0;
  for (int r = 0; r < lines * columns; r++) {
    for (int i = 0; i < row_stride; i++) {
      const int py = r / columns * stride - padding + i / (kernel_w * c);
      const int px = r % columns * stride - padding + i / c % kernel_w;
      const bool inside = i < k && py >= 0 && py < height && px >= 0 && px < width;
      const int expected =
          inside ? x[(py / upsampling * w + px / upsampling) * c + i % c] : 0x80;
      worst = larger(worst, exact(panel[(size_t)r * row_stride + i], expected));
    }
  }
  free(x), free(panel);
  return worst;
}
