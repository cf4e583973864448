// Rows of embedding tables.
#include "../common/vector.h"

void banana_embedding_plain(const void *table, banana_storage storage, int32_t width, int32_t index,
                            float *y) {
  const size_t bytes = storage == BANANA_STORAGE_F32 ? 4 : 2;
  banana_widen((const uint8_t *)table + (size_t)index * width * bytes, storage, (size_t)width, y);
}

void banana_embedding_int8(const int8_t *table, const float *scale, int32_t width, int32_t index,
                          float *y) {
  const int8_t *row = table + (ptrdiff_t)index * width;
  for (int32_t i = 0; i < width; i++) y[i] = (float)row[i] * scale[index];
}

void banana_embedding_int4(const uint8_t *table, int32_t group, int32_t width, int32_t index,
                          float *y) {
  const ptrdiff_t record_bytes = 2 + group / 2;
  const uint8_t *record = table + (ptrdiff_t)index * (width / group) * record_bytes;
  for (int32_t g = 0; g < width / group; g++, record += record_bytes) {
    float scale;
    banana_widen(record, BANANA_STORAGE_F16, 1, &scale);
    for (int32_t i = 0; i < group; i += 2) {
      const uint8_t byte = record[2 + i / 2];
      *y++ = (float)((byte & 15) - 8) * scale;
      *y++ = (float)((byte >> 4) - 8) * scale;
    }
  }
}
