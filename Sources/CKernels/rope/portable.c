#include "../common/targets.h"
#define BANANA_SET portable
#include "rope.h"
