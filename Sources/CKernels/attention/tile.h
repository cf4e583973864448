#include <stdint.h>

// How many keys attention takes at a time: all, or as many as stay, packed, in a core's cache
// while the queries pass over them.
#define ATTENTION_TILE_FLOATS 65536

static inline int32_t attention_tile_keys(int32_t width, int32_t keys) {
  const int32_t lanes = (width + 15) / 16 * 16;
  int32_t limit = ATTENTION_TILE_FLOATS / lanes / 16 * 16;
  if (limit < 16) limit = 16;
  return keys < limit ? keys : limit;
}
