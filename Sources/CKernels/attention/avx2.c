#include "../common/targets.h"
#if BANANA_X86
BANANA_TARGET_AVX2
#define BANANA_SET avx2
#include "../common/f32_tile_avx2.h"
#include "attention.h"
BANANA_TARGET_END
#endif
