// The left matrix of a convolution, row by row.
#include <string.h>

#include "CKernels.h"

// `count` pixels from column `x` on of a line that is read with its pixels repeated.
static void copy_pixels(const banana_patches *p, const uint8_t *line, int32_t x, int32_t count,
                        uint8_t *target) {
  const size_t bytes = (size_t)p->pixel_bytes;
  if (p->upsampling == 1) {
    memcpy(target, line + (size_t)x * bytes, (size_t)count * bytes);
    return;
  }
  for (int32_t i = 0; i < count; i++, target += bytes) {
    memcpy(target, line + (size_t)((x + i) / p->upsampling) * bytes, bytes);
  }
}

void banana_convolution_patches(const banana_patches *p, int32_t row0, int32_t row1,
                                uint8_t *panel) {
  const ptrdiff_t line_bytes = (ptrdiff_t)p->kernel_w * p->pixel_bytes;
  const int32_t height = p->h * p->upsampling, width = p->w * p->upsampling;
  for (int32_t row = row0; row < row1; row++, panel += p->row_stride) {
    const int32_t y0 = row / p->columns * p->stride - p->padding_top;
    const int32_t x0 = row % p->columns * p->stride - p->padding_left;
    // The part of a kernel line that lies within the picture.
    const int32_t first = x0 < 0 ? -x0 : 0;
    const int32_t end = x0 + p->kernel_w > width ? width - x0 : p->kernel_w;
    uint8_t *line = panel;
    for (int32_t dy = 0; dy < p->kernel_h; dy++, line += line_bytes) {
      const int32_t y = y0 + dy;
      if (y < 0 || y >= height || first >= end) {
        memset(line, p->padding, (size_t)line_bytes);
        continue;
      }
      uint8_t *inside = line + (ptrdiff_t)first * p->pixel_bytes;
      uint8_t *behind = line + (ptrdiff_t)end * p->pixel_bytes;
      memset(line, p->padding, (size_t)(inside - line));
      copy_pixels(p, p->x + (ptrdiff_t)(y / p->upsampling) * p->w * p->pixel_bytes, x0 + first,
                  end - first, inside);
      memset(behind, p->padding, (size_t)(line + line_bytes - behind));
    }
    memset(line, p->padding, (size_t)(panel + p->row_stride - line));
  }
}
