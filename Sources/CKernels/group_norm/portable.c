#include "../common/targets.h"
#define BANANA_SET portable
#include "group_norm.h"
