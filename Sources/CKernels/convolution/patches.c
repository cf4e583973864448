// The left matrix of a convolution, row by row.
#include <string.h>

#include "CKernels.h"

void banana_convolution_patches(const banana_patches *p, int32_t row0, int32_t row1, uint8_t *panel) {
  const ptrdiff_t line_bytes = (ptrdiff_t)p->kernel_w * p->pixel_bytes;
  for (int32_t row = row0; row < row1; row++, panel += p->row_stride) {
    const int32_t y0 = row / p->w - p->kernel_h / 2, x0 = row % p->w - p->kernel_w / 2;
    // The part of a kernel line that lies within the picture.
    const int32_t first = x0 < 0 ? -x0 : 0;
    const int32_t end = x0 + p->kernel_w > p->w ? p->w - x0 : p->kernel_w;
    uint8_t *line = panel;
    for (int32_t dy = 0; dy < p->kernel_h; dy++, line += line_bytes) {
      const int32_t y = y0 + dy;
      if (y < 0 || y >= p->h) {
        memset(line, p->padding, (size_t)line_bytes);
        continue;
      }
      const uint8_t *source = p->x + ((ptrdiff_t)y * p->w + x0 + first) * p->pixel_bytes;
      uint8_t *target = line + (ptrdiff_t)first * p->pixel_bytes;
      const size_t bytes = (size_t)(end - first) * p->pixel_bytes;
      memset(line, p->padding, (size_t)(target - line));
      memcpy(target, source, bytes);
      memset(target + bytes, p->padding, (size_t)(line + line_bytes - target) - bytes);
    }
    memset(line, p->padding, (size_t)(panel + p->row_stride - line));
  }
}
