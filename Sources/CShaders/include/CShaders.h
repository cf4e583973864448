// The SPIR-V of shaders/, embedded.
#ifndef BANANA_CSHADERS_H
#define BANANA_CSHADERS_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
  const char *name;
  // Aligned to 4 bytes.
  const void *code;
  size_t byte_count;
} banana_shader;

// All of them, `banana_shader_count` in number.
const banana_shader *banana_shader_table(void);
extern const int32_t banana_shader_count;

#endif
