#include "../common/targets.h"
#if BANANA_X86
BANANA_TARGET_AVX512
#define BANANA_SET avx512
#include "group_norm.h"
BANANA_TARGET_END
#endif
