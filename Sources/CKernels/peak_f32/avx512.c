#include "../common/targets.h"
#if BANANA_X86
BANANA_TARGET_AVX512
#define BANANA_SET avx512
#include "../common/f32_tile_avx512.h"
#include "peak_f32.h"
BANANA_TARGET_END
#endif
