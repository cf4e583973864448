// Weights into the form of linear_f32, once when they are bound.
#include "../common/vector.h"

static float plain(const void *w, banana_storage storage, size_t i) {
  u16x16 h = {0};
  switch (storage) {
    case BANANA_STORAGE_F32:
      return ((const float *)w)[i];
    case BANANA_STORAGE_F16:
      memcpy(&h, (const uint16_t *)w + i, 2);
      return widen_f16(h)[0];
    default:
      memcpy(&h, (const uint16_t *)w + i, 2);
      return widen_bf16(h)[0];
  }
}

void banana_pack_f32(const void *w, banana_storage storage, int32_t n, int32_t k, float *packed) {
  for (int32_t block = 0; block < (n + 15) / 16; block++) {
    for (int32_t i = 0; i < k; i++) {
      for (int32_t lane = 0; lane < 16; lane++) {
        const int32_t o = block * 16 + lane;
        *packed++ = o < n ? plain(w, storage, (size_t)o * k + i) : 0;
      }
    }
  }
}

void banana_pack_int8(const int8_t *w, const float *scale, int32_t n, int32_t k, float *packed) {
  const int32_t quads = (k + 3) / 4;
  for (int32_t block = 0; block < (n + 15) / 16; block++) {
    for (int32_t i = 0; i < k; i++) {
      const int8_t *lanes = w + ((ptrdiff_t)block * quads + i / 4) * 64 + i % 4;
      for (int32_t lane = 0; lane < 16; lane++) {
        const int32_t o = block * 16 + lane;
        *packed++ = o < n ? (float)lanes[lane * 4] * scale[o] : 0;
      }
    }
  }
}

void banana_pack_int4(const uint8_t *w, int32_t group, int32_t n, int32_t k, float *packed) {
  const int32_t groups = (k + group - 1) / group;
  for (int32_t block = 0; block < (n + 15) / 16; block++) {
    for (int32_t i = 0; i < k; i++) {
      const uint8_t *record = w + ((ptrdiff_t)block * groups + i / group) * (32 + 8 * group);
      const f32x16 scales = widen_f16(*(const u16x16u *)record);
      const int32_t quad = i % group / 4, within = i % 4;
      for (int32_t lane = 0; lane < 16; lane++) {
        const uint8_t byte = record[32 + (quad * 16 + lane) * 2 + within / 2];
        const int32_t q = (within % 2 ? byte >> 4 : byte & 15) - 8;
        *packed++ = block * 16 + lane < n ? (float)q * scales[lane] : 0;
      }
    }
  }
}

void banana_smooth_packed(float *packed, int32_t n, int32_t k, const float *smoothing,
                          int32_t channels) {
  for (int32_t block = 0; block < (n + 15) / 16; block++) {
    for (int32_t i = 0; i < k; i++, packed += 16) {
      *(f32x16u *)packed = *(f32x16u *)packed * smoothing[i % channels];
    }
  }
}

void banana_widen(const void *x, banana_storage storage, size_t count, float *y) {
  if (storage == BANANA_STORAGE_F32) {
    memcpy(y, x, count * sizeof(float));
    return;
  }
  const uint16_t *h = x;
  for (size_t i = 0; i < count; i += 16) {
    const size_t left = count - i < 16 ? count - i : 16;
    u16x16 v = {0};
    memcpy(&v, h + i, left * sizeof(uint16_t));
    store_partial(y + i, storage == BANANA_STORAGE_F16 ? widen_f16(v) : widen_bf16(v),
                  (ptrdiff_t)left);
  }
}
