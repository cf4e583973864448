#include "random.h"

static float rounded(float x, float factor, float inverse, int zero) {
  return fminf(fmaxf(rintf(x * factor * inverse) + (float)zero, -127), 127);
}

static float naive_extent(const float *x, int count, int n, const float *factors, int zero) {
  float extent = 0;
  for (int i = 0; i < count; i++) {
    const float v = x[i] * factors[i % n];
    extent = fmaxf(extent, fabsf(v) * (127.0f / (float)(v > 0 ? 127 - zero : 127 + zero)));
  }
  return extent;
}

double banana_check_quantize(banana_level level, int m, int k, bool smooth, int zero) {
  const banana_kernels *kernels = banana_kernels_for(level);
  uint64_t seed = (uint64_t)m * 1009 + k;
  const int stride = (k + 3) / 4 * 4;
  float *x = random_floats((size_t)m * k, &seed), *scales = allocate(m * sizeof(float));
  uint8_t *q = allocate((size_t)m * stride), *whole = allocate((size_t)m * k);
  float *factors = allocate(k * sizeof(float));
  for (int i = 0; i < k; i++) factors[i] = smooth ? (float)(i % 5 + 1) / 10 : 1;
  const banana_rounding rounding = {
      .smoothing = smooth ? factors : NULL, .zero_point = zero, .offset = 0x80};
  for (int r = 0; r < m; r++) {
    for (int i = 0; i < k; i++) {
      float *v = &x[(size_t)r * k + i];
      if (r % 7 == 1) *v = 0;
      if (r % 7 == 2) *v *= 1e-42f;  // denormals: too small to scale
      if (r % 7 == 3) *v *= 1e36f;
      if (r % 7 == 4) *v = (float)(i % 255 - 127) / 2;  // halves: ties
      if (r % 7 == 5) *v *= 1e-30f;
      if (r % 7 == 6) *v = fabsf(*v);
    }
  }
  kernels->quantize_rows(x, k, m, k, &rounding, q, stride, scales);
  double worst = 0;
  for (int r = 0; r < m; r++) {
    const float *row = x + (size_t)r * k;
    const float extent = naive_extent(row, k, k, factors, zero);
    const bool tiny = isinf(127.0f / extent);
    const float scale = tiny ? 1 : extent / 127.0f, inverse = tiny ? 0 : 127.0f / extent;
    worst = larger(worst, exact(scales[r], scale));
    for (int i = 0; i < stride; i++) {
      const float expected = i < k ? rounded(row[i], factors[i], inverse, zero) : 0;
      worst = larger(worst, exact((int8_t)(q[(size_t)r * stride + i] ^ 0x80), expected));
    }
    // With the next row behind it, which may reach further.
    const int rows = r + 1 < m ? 2 : 1;
    worst = larger(worst, exact(kernels->extent(row, rows, k, &rounding),
                                naive_extent(row, rows * k, k, factors, zero)));
    kernels->quantize(row, rows, k, &rounding, extent, whole);
    for (int i = 0; i < rows * k; i++) {
      worst = larger(worst, exact((int8_t)(whole[i] ^ 0x80),
                                  rounded(row[i], factors[i % k], inverse, zero)));
    }
  }
  free(x), free(scales), free(q), free(whole), free(factors);
  return worst;
}

double banana_check_norm(banana_level level, int m, int n, bool subtract_mean, bool modulated) {
  const banana_kernels *kernels = banana_kernels_for(level);
  uint64_t seed = (uint64_t)m * 1009 + n;
  float *x = random_floats((size_t)m * n, &seed), *y = allocate((size_t)m * n * sizeof(float));
  float *weight = random_floats(n, &seed), *bias = random_floats(n, &seed);
  float *scale = random_floats((size_t)m * n, &seed), *shift = random_floats((size_t)m * n, &seed);
  const int rows = 3;
  const banana_norm p = {.x = x, .x_stride = n, .y = y, .y_stride = n, .n = n, .epsilon = 1e-6f,
                         .subtract_mean = subtract_mean, .weight = modulated ? NULL : weight,
                         .bias = modulated ? NULL : bias, .scale = modulated ? scale : NULL,
                         .shift = modulated ? shift : NULL, .scale_stride = n, .shift_stride = n,
                         .modulation_rows = rows,
                         .activation = modulated ? BANANA_ACTIVATION_NONE : BANANA_ACTIVATION_SILU};
  kernels->norm(&p, 0, m / 2);
  kernels->norm(&p, m / 2, m);
  double worst = 0;
  for (int r = 0; r < m; r++) {
    double mean = 0, variance = 0;
    for (int i = 0; i < n && subtract_mean; i++) mean += x[(size_t)r * n + i] / (double)n;
    for (int i = 0; i < n; i++) variance += pow(x[(size_t)r * n + i] - mean, 2) / n;
    for (int i = 0; i < n; i++) {
      double v = (x[(size_t)r * n + i] - mean) / sqrt(variance + 1e-6f);
      if (modulated) {
        v = v * (1 + scale[(size_t)(r / rows) * n + i]) + shift[(size_t)(r / rows) * n + i];
      } else {
        v = naive_activation(v * weight[i] + bias[i], BANANA_ACTIVATION_SILU);
      }
      worst = larger(worst, excess(y[(size_t)r * n + i], v, 4e-6));
    }
  }
  free(x), free(y), free(weight), free(bias), free(scale), free(shift);
  return worst;
}

// Group g has a mean of 100 g, so that what is lost by summing squares would show.
double banana_check_group_norm(banana_level level, int rows, int n, int groups) {
  const banana_kernels *kernels = banana_kernels_for(level);
  uint64_t seed = (uint64_t)rows * 1009 + n;
  const int width = n / groups;
  const double total = (double)rows * width;
  const size_t count = (size_t)rows * n;
  float *x = random_floats(count, &seed), *y = allocate(count * sizeof(float));
  float *mean = allocate(n * sizeof(float)), *scale = random_floats(n, &seed);
  float *bias = random_floats(n, &seed), *scratch = allocate(3 * n * sizeof(float));
  double(*statistics)[2] = allocate(groups * sizeof *statistics);
  for (int i = 0; i < rows * n; i++) x[i] += 100 * (i % n / width);
  kernels->group_statistics(x, rows, n, groups, scratch, statistics);
  double worst = 0;
  for (int g = 0; g < groups; g++) {
    double sum = 0, squares = 0;
    for (int r = 0; r < rows; r++) {
      for (int i = 0; i < width; i++) sum += x[(size_t)r * n + g * width + i];
    }
    for (int r = 0; r < rows; r++) {
      for (int i = 0; i < width; i++) {
        squares += pow(x[(size_t)r * n + g * width + i] - sum / total, 2);
      }
    }
    worst = larger(worst, excess(statistics[g][0], sum / total, 1e-6));
    worst = larger(worst, excess(statistics[g][1], squares, 1e-5 * squares + 1e-6));
    for (int i = 0; i < width; i++) mean[g * width + i] = (float)statistics[g][0];
  }
  const banana_group_norm p = {.x = x, .y = y, .n = n, .mean = mean, .scale = scale, .bias = bias,
                               .activation = BANANA_ACTIVATION_SILU};
  kernels->group_norm(&p, 0, rows / 2);
  kernels->group_norm(&p, rows / 2, rows);
  for (int i = 0; i < rows * n; i++) {
    const int c = i % n;
    const double v = ((double)x[i] - mean[c]) * scale[c] + bias[c];
    worst = larger(worst, excess(y[i], naive_activation(v, BANANA_ACTIVATION_SILU), 1e-6));
  }
  free(x), free(y), free(mean), free(scale), free(bias), free(scratch), free(statistics);
  return worst;
}

double banana_check_head_norm(banana_level level, int tokens, int heads, int width, int stretch) {
  const banana_kernels *kernels = banana_kernels_for(level);
  uint64_t seed = (uint64_t)tokens * 1009 + width;
  const int rows = 2 * tokens, n = heads * width;
  float *x = random_floats((size_t)rows * n, &seed);
  float *y = allocate((size_t)rows * n * sizeof(float));
  float *weight = random_floats(width, &seed);
  float *cosine = random_floats((size_t)tokens * width / 2, &seed);
  float *sine = random_floats((size_t)tokens * width / 2, &seed);
  const banana_head_norm p = {.x = x, .x_stride = n, .y = y, .y_stride = n, .heads = heads,
                         .width = width, .weight = weight, .epsilon = 1e-6f, .cosine = cosine,
                         .sine = sine, .positions = tokens, .stretch = stretch};
  kernels->head_norm(&p, 0, rows);
  double worst = 0;
  for (int r = 0; r < rows; r++) {
    for (int h = 0; h < heads; h++) {
      const float *head = x + (size_t)r * n + h * width;
      double sum = 0;
      for (int i = 0; i < width; i++) sum += (double)head[i] * head[i];
      const double inverse = 1 / sqrt(sum / width + 1e-6f);
      for (int i = 0; i < width; i++) {
        const int within = i % stretch, start = i - within, half = stretch / 2;
        const int other = start + (within + half) % stretch;
        const size_t t = (size_t)(r % tokens) * width / 2 + start / 2 + within % half;
        const double v = head[i] * inverse * weight[i], o = head[other] * inverse * weight[other];
        const double expected = v * cosine[t] + (within < half ? -1 : 1) * o * sine[t];
        worst = larger(worst, excess(y[(size_t)r * n + h * width + i], expected, 2e-6));
      }
    }
  }
  free(x), free(y), free(weight), free(cosine), free(sine);
  return worst;
}

// The latents are causal if there are as many as queries.
double banana_check_activation(banana_level level, int activation) {
  const banana_kernels *kernels = banana_kernels_for(level);
  enum { COUNT = 20003 };
  float *x = allocate(COUNT * sizeof(float)), *y = allocate(COUNT * sizeof(float));
  for (int i = 0; i < COUNT; i++) x[i] = (float)(i - COUNT / 2) * 1.3e-3f;
  const float special[] = {0, -0.0f, 1e-42f, -1e-42f, 80, -80, 1e4f, -1e4f, 3e38f, -3e38f};
  memcpy(x, special, sizeof special);
  kernels->activation(x, COUNT, activation, y);
  double worst = 0;
  for (int i = 0; i < COUNT; i++) {
    const double expected = naive_activation(x[i], activation);
    worst = larger(worst, excess(y[i], expected, 5e-7 * fabs(expected) + 2e-7));
  }
  free(x), free(y);
  return worst;
}

double banana_check_gated_activation(banana_level level, int count, int activation) {
  const banana_kernels *kernels = banana_kernels_for(level);
  uint64_t seed = count;
  float *value = random_floats(count, &seed), *gate = random_floats(count, &seed);
  float *y = allocate((count + 1) * sizeof(float));
  y[count] = 7;
  kernels->gated_activation(value, gate, count, activation, y);
  double worst = exact(y[count], 7);
  for (int i = 0; i < count; i++) {
    const double expected = value[i] * naive_activation(gate[i], activation);
    worst = larger(worst, excess(y[i], expected, 5e-7));
  }
  free(value), free(gate), free(y);
  return worst;
}

double banana_check_elementwise(banana_level level, int count) {
  const banana_kernels *kernels = banana_kernels_for(level);
  uint64_t seed = count;
  float *a = random_floats(count, &seed), *b = random_floats(count, &seed);
  float *y = allocate((count + 1) * sizeof(float));
  double worst = 0;
  y[count] = 7;
  kernels->add(a, b, count, y);
  for (int i = 0; i < count; i++) worst = larger(worst, exact(y[i], a[i] + b[i]));
  kernels->multiply(a, b, count, y);
  for (int i = 0; i < count; i++) worst = larger(worst, exact(y[i], a[i] * b[i]));
  worst = larger(worst, exact(y[count], 7));
  free(a), free(b), free(y);
  return worst;
}
