// Rearrangements of channels-last pictures; a line of source pixels is copied in runs of channels.
#include <string.h>

#include "CKernels.h"

void banana_depth_to_space(const float *x, int32_t w, int32_t c, int32_t factor, int32_t line0,
                           int32_t line1, float *y) {
  const ptrdiff_t run = (ptrdiff_t)factor * c;  // one dy of a source pixel
  for (int32_t line = line0; line < line1; line++) {
    for (int32_t column = 0; column < w; column++) {
      const float *pixel = x + ((ptrdiff_t)line * w + column) * factor * run;
      for (int32_t dy = 0; dy < factor; dy++) {
        float *target = y + (((ptrdiff_t)line * factor + dy) * w + column) * run;
        memcpy(target, pixel + dy * run, (size_t)run * sizeof(float));
      }
    }
  }
}

void banana_space_to_depth(const float *x, int32_t w, int32_t c, int32_t factor, int32_t line0,
                           int32_t line1, float *y) {
  const ptrdiff_t run = (ptrdiff_t)factor * c;
  for (int32_t line = line0; line < line1; line++) {
    for (int32_t column = 0; column < w; column++) {
      float *pixel = y + ((ptrdiff_t)line * w + column) * factor * run;
      for (int32_t dy = 0; dy < factor; dy++) {
        const float *source = x + (((ptrdiff_t)line * factor + dy) * w + column) * run;
        memcpy(pixel + dy * run, source, (size_t)run * sizeof(float));
      }
    }
  }
}
