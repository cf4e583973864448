#include "../common/targets.h"
#define BANANA_SET portable
#include "head_norm.h"
