#include "random.h"

// n16k4 blocks of random weights; `plain` gets [n, k].
static int8_t *random_blocks(int n, int k, int8_t *plain, uint64_t *seed) {
  const int quads = (k + 3) / 4, blocks = (n + 15) / 16;
  int8_t *w = allocate((size_t)blocks * quads * 64);
  memset(w, 0, (size_t)blocks * quads * 64);
  for (int o = 0; o < n; o++) {
    for (int i = 0; i < k; i++) {
      // Extremes first: sums of products of the largest numbers are where 16 bits would overflow.
      const int8_t q = o % 5 == 0 ? (o % 2 ? 127 : -127) : random_int8(seed);
      plain[(size_t)o * k + i] = q;
      w[(((size_t)(o / 16) * quads + i / 4) * 16 + o % 16) * 4 + i % 4] = q;
    }
  }
  return w;
}

static float *filled(int count, float value) {
  float *x = allocate(count * sizeof(float));
  for (int i = 0; i < count; i++) x[i] = value;
  return x;
}

double banana_check_linear_int8(banana_level level, int m, int n, int k) {
  const banana_kernels *kernels = banana_kernels_for(level);
  uint64_t seed = (uint64_t)m * 1000003 + n * 1009 + k;
  const int stride = (k + 3) / 4 * 4 + 8;
  uint8_t *a = allocate((size_t)m * stride);
  int8_t *plain = allocate((size_t)n * k), *w = random_blocks(n, k, plain, &seed);
  for (int r = 0; r < m; r++) {
    for (int i = 0; i < stride; i++) {
      const int8_t q = i >= k ? 0 : r % 3 == 0 ? (i % 2 && r % 2 ? -127 : 127) : random_int8(&seed);
      a[(size_t)r * stride + i] = (uint8_t)q ^ kernels->activation_offset;
    }
  }
  int32_t *initial = allocate((n + 15) / 16 * 64);
  const int zero = n % 3 * -60;
  kernels->linear_int8_initial(w, n, k, zero, initial);
  float *ones = filled(m > n ? m : n, 1), *y = allocate((size_t)m * n * sizeof(float));
  const banana_linear_int8 p = {
      .a = a, .row_scale = ones, .row_scale_rows = 1, .n = n, .w = w, .w_scale = ones,
      .initial = initial,
      .rows = {.row_stride = stride, .segments = 1, .segment_length = (k + 3) / 4 * 4},
      .epilogue = {.y = y, .y_stride = n, .gate_rows = 1}};
  // In two parts each way: what a kernel writes outside its rectangle would show.
  const int blocks = (n + 15) / 16;
  kernels->linear_int8(&p, m / 2, m, 0, blocks);
  kernels->linear_int8(&p, 0, m / 2, blocks / 2, blocks);
  kernels->linear_int8(&p, 0, m / 2, 0, blocks / 2);
  double worst = 0;
  for (int r = 0; r < m; r++) {
    for (int o = 0; o < n; o++) {
      int32_t sum = 0;
      for (int i = 0; i < k; i++) {
        sum += plain[(size_t)o * k + i] *
               ((int8_t)(a[(size_t)r * stride + i] ^ kernels->activation_offset) - zero);
      }
      worst = larger(worst, exact(y[(size_t)r * n + o], (float)sum));
    }
  }
  free(a), free(plain), free(w), free(initial), free(ones), free(y);
  return worst;
}

double banana_check_convolution_int8(banana_level level, int h, int w, int c, int n) {
  const banana_kernels *kernels = banana_kernels_for(level);
  uint64_t seed = (uint64_t)h * 1000003 + w * 1009 + c * 31 + n;
  const int k = 9 * c, items = 2, line = (w + 2) * c, item = (h + 2) * line;
  const int zero = n % 3 * -60;
  uint8_t *a = allocate((size_t)items * item);
  for (int i = 0; i < items * item; i++) {
    const int y = i % item / line, x = i % line / c;
    const bool inside = y > 0 && y <= h && x > 0 && x <= w;
    a[i] = (uint8_t)(inside ? random_int8(&seed) : zero) ^ kernels->activation_offset;
  }
  int8_t *plain = allocate((size_t)n * k), *blocks = random_blocks(n, k, plain, &seed);
  int32_t *initial = allocate((n + 15) / 16 * 64);
  kernels->linear_int8_initial(blocks, n, k, zero, initial);
  float *ones = filled(n, 1), *y = allocate((size_t)items * h * w * n * sizeof(float));
  float scales[2] = {1, 2};
  const banana_linear_int8 p = {
      .a = a, .row_scale = scales, .row_scale_rows = h * w, .n = n, .w = blocks, .w_scale = ones,
      .initial = initial,
      .rows = {.row_stride = c, .line_rows = w, .item_lines = h, .line_stride = line,
               .item_stride = item, .segments = 3, .segment_length = 3 * c,
               .segment_stride = line},
      .epilogue = {.y = y, .y_stride = n, .gate_rows = 1}};
  kernels->linear_int8(&p, 0, items * h * w, 0, (n + 15) / 16);
  double worst = 0;
  for (int r = 0; r < items * h * w; r++) {
    for (int o = 0; o < n; o++) {
      int32_t sum = 0;
      for (int i = 0; i < k; i++) {
        const int dy = i / (3 * c), along = i % (3 * c);
        const int at = r / (h * w) * item + (r / w % h + dy) * line + r % w * c + along;
        sum += plain[(size_t)o * k + i] * ((int8_t)(a[at] ^ kernels->activation_offset) - zero);
      }
      worst = larger(worst, exact(y[(size_t)r * n + o], (float)sum * scales[r / (h * w)]));
    }
  }
  free(a), free(plain), free(blocks), free(initial), free(ones), free(y);
  return worst;
}

double banana_check_linear_int4(banana_level level, int m, int n, int k, int group) {
  const banana_kernels *kernels = banana_kernels_for(level);
  uint64_t seed = (uint64_t)m * 1000003 + n * 1009 + k;
  const int groups = (k + group - 1) / group, blocks = (n + 15) / 16, stride = groups * group;
  const size_t record = 32 + 8 * (size_t)group;
  uint8_t *w = allocate(blocks * groups * record);
  float *plain = allocate((size_t)n * stride * sizeof(float));
  // f16 scales that are powers of two: 1, 1/2, 1/4, so that the sums stay exact.
  const uint16_t halves[] = {0x3c00, 0x3800, 0x3400};
  for (int b = 0; b < blocks; b++) {
    for (int g = 0; g < groups; g++) {
      uint8_t *r = w + ((size_t)b * groups + g) * record;
      memset(r, 0, 32);
      memset(r + 32, 0x88, record - 32);
      for (int lane = 0; lane < 16 && b * 16 + lane < n; lane++) {
        const int s = (lane + g) % 3;
        memcpy(r + 2 * lane, &halves[s], 2);
        for (int i = 0; i < group; i++) {
          const int q = g * group + i >= k ? 0 : (int)(next_random(&seed) % 16) - 8;
          uint8_t *byte = r + 32 + (i / 4 * 16 + lane) * 2 + i % 4 / 2;
          *byte = (uint8_t)(i % 2 ? (*byte & 15) | (q + 8) << 4 : (*byte & 0xf0) | (q + 8));
          plain[(size_t)(b * 16 + lane) * stride + g * group + i] = (float)q / (float)(1 << s);
        }
      }
    }
  }
  int8_t *a = allocate((size_t)m * stride);
  for (int i = 0; i < m * stride; i++) {
    a[i] = i % stride >= k ? 0 : i / stride % 3 == 0 ? 127 : random_int8(&seed);
  }
  int32_t *sums = allocate((size_t)m * groups * 4);
  kernels->int4_group_sums(a, stride, m, groups, group, sums);
  float *ones = filled(m, 1), *y = allocate((size_t)m * n * sizeof(float));
  const banana_linear_int4 p = {
      .a = a, .row_stride = stride, .group_sums = sums, .row_scale = ones, .row_scale_rows = 1,
      .n = n, .groups = groups, .group = group, .w = w,
      .epilogue = {.y = y, .y_stride = n, .gate_rows = 1}};
  kernels->linear_int4(&p, m / 2, m, 0, blocks);
  kernels->linear_int4(&p, 0, m / 2, blocks / 2, blocks);
  kernels->linear_int4(&p, 0, m / 2, 0, blocks / 2);
  double worst = 0;
  for (int r = 0; r < m; r++) {
    for (int o = 0; o < n; o++) {
      double sum = 0;
      for (int i = 0; i < k; i++) {
        sum += (double)plain[(size_t)o * stride + i] * a[(size_t)r * stride + i];
      }
      worst = larger(worst, exact(y[(size_t)r * n + o], sum));
    }
  }
  // The f32 form of the same weights.
  float *packed = allocate((size_t)blocks * 16 * k * sizeof(float));
  banana_pack_int4(w, group, n, k, packed);
  for (int o = 0; o < n; o++) {
    for (int i = 0; i < k; i++) {
      worst = larger(worst, exact(packed[((size_t)(o / 16) * k + i) * 16 + o % 16],
                                  plain[(size_t)o * stride + i]));
    }
  }
  free(w), free(plain), free(a), free(sums), free(ones), free(y), free(packed);
  return worst;
}

double banana_check_linear_f32(banana_level level, int m, int n, int k) {
  const banana_kernels *kernels = banana_kernels_for(level);
  uint64_t seed = (uint64_t)m * 1000003 + n * 1009 + k;
  float *a = random_floats((size_t)m * k, &seed), *w = random_floats((size_t)n * k, &seed);
  float *packed = allocate((size_t)(n + 15) / 16 * 16 * k * sizeof(float));
  banana_pack_f32(w, BANANA_STORAGE_F32, n, k, packed);
  float *y = allocate((size_t)m * n * sizeof(float));
  const banana_linear_f32 p = {
      .a = a, .w = packed, .n = n,
      .rows = {.row_stride = k, .segments = 1, .segment_length = k},
      .epilogue = {.y = y, .y_stride = n, .gate_rows = 1}};
  kernels->linear_f32(&p, m / 2, m, 0, (n + 15) / 16);
  kernels->linear_f32(&p, 0, m / 2, 0, (n + 15) / 16);
  double worst = 0;
  for (int r = 0; r < m; r++) {
    for (int o = 0; o < n; o++) {
      double sum = 0, magnitude = 0;
      for (int i = 0; i < k; i++) {
        const double term = (double)a[(size_t)r * k + i] * w[(size_t)o * k + i];
        sum += term, magnitude += fabs(term);
      }
      // k roundings of partial sums, of which the usual case needs about sqrt(k).
      const double allowance = 6e-8 * (2 + sqrt(k)) * magnitude + 1e-30;
      worst = larger(worst, excess(y[(size_t)r * n + o], sum, allowance));
    }
  }
  free(a), free(w), free(packed), free(y);
  return worst;
}

double banana_check_convolution_f32(banana_level level, int h, int w, int c, int n) {
  const banana_kernels *kernels = banana_kernels_for(level);
  uint64_t seed = (uint64_t)h * 1000003 + w * 1009 + c * 31 + n;
  const int k = 9 * c, line = (w + 2) * c;
  float *a = random_floats((size_t)(h + 2) * line, &seed);
  float *weights = random_floats((size_t)n * k, &seed);
  float *packed = allocate((size_t)(n + 15) / 16 * 16 * k * sizeof(float));
  banana_pack_f32(weights, BANANA_STORAGE_F32, n, k, packed);
  float *y = allocate((size_t)h * w * n * sizeof(float));
  const banana_linear_f32 p = {
      .a = a, .w = packed, .n = n,
      .rows = {.row_stride = c, .line_rows = w, .item_lines = h, .line_stride = line,
               .item_stride = (h + 2) * line, .segments = 3, .segment_length = 3 * c,
               .segment_stride = line},
      .epilogue = {.y = y, .y_stride = n, .gate_rows = 1}};
  kernels->linear_f32(&p, 0, h * w, 0, (n + 15) / 16);
  double worst = 0;
  for (int r = 0; r < h * w; r++) {
    for (int o = 0; o < n; o++) {
      double sum = 0;
      for (int i = 0; i < k; i++) {
        sum += (double)weights[(size_t)o * k + i] *
               a[(r / w + i / (3 * c)) * line + r % w * c + i % (3 * c)];
      }
      worst = larger(worst, excess(y[(size_t)r * n + o], sum, 1e-6 * k));
    }
  }
  free(a), free(weights), free(packed), free(y);
  return worst;
}

double banana_check_epilogue(banana_level level, int m, int n, int activation, int gate_rows,
                             bool residual, int rank) {
  const banana_kernels *kernels = banana_kernels_for(level);
  uint64_t seed = (uint64_t)m * 1000003 + n * 1009 + activation;
  float *a = random_floats(m, &seed), *w = random_floats(n, &seed);
  float *packed = allocate((size_t)(n + 15) / 16 * 64);
  banana_pack_f32(w, BANANA_STORAGE_F32, n, 1, packed);
  float *inner = random_floats((size_t)m * (rank + 1), &seed);
  float *up = random_floats((size_t)n * (rank + 1), &seed);
  float *packed_up = allocate((size_t)(n + 15) / 16 * 64 * (rank + 1));
  banana_pack_f32(up, BANANA_STORAGE_F32, n, rank, packed_up);
  float *bias = random_floats(n, &seed), *gate = random_floats((size_t)m * (n + 3), &seed);
  float *y = random_floats((size_t)m * n, &seed), *old = allocate((size_t)m * n * sizeof(float));
  memcpy(old, y, (size_t)m * n * sizeof(float));
  const banana_linear_f32 p = {
      .a = a, .w = packed, .n = n, .rows = {.row_stride = 1, .segments = 1, .segment_length = 1},
      .epilogue = {.bias = bias, .activation = activation, .gate_rows = gate_rows ? gate_rows : 1,
                   .inner = rank ? inner : NULL, .up = packed_up, .rank = rank,
                   .gate = gate_rows ? gate : NULL, .gate_stride = n + 3,
                   .residual = residual ? y : NULL, .residual_stride = n, .y = y, .y_stride = n}};
  kernels->linear_f32(&p, 0, m, 0, (n + 15) / 16);
  double worst = 0;
  for (int r = 0; r < m; r++) {
    for (int o = 0; o < n; o++) {
      double sum = (double)a[r] * w[o] + bias[o];
      for (int i = 0; i < rank; i++) sum += (double)inner[r * rank + i] * up[o * rank + i];
      double v = naive_activation(sum, activation);
      if (gate_rows) v *= gate[(size_t)(r / gate_rows) * (n + 3) + o];
      if (residual) v += old[(size_t)r * n + o];
      worst = larger(worst, excess(y[(size_t)r * n + o], v, 5e-7 * (1 + rank)));
    }
  }
  free(a), free(w), free(packed), free(bias), free(inner), free(up), free(packed_up), free(gate), free(y), free(old);
  return worst;
}
