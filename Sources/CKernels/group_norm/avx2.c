#include "../common/targets.h"
#if BANANA_X86
BANANA_TARGET_AVX2
#define BANANA_SET avx2
#include "group_norm.h"
BANANA_TARGET_END
#endif
