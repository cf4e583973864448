#include "../common/targets.h"
#define BANANA_SET portable
#include "../common/f32_tile_portable.h"
#include "peak_f32.h"
