// 12 accumulators of half a block, 2 halves of weights and a broadcast fill 15 of 16 registers.
#define ROW_LIMIT(blocks) 6
#define BLOCK_LIMIT 1
