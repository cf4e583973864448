#include "../common/targets.h"
#define BANANA_SET portable
#include "../common/f32_tile_portable.h"
#include "attention.h"
