// 24 accumulators, 3 weights and a broadcast fill 28 of the 32 registers.
#define ROW_LIMIT(blocks) 8
#define BLOCK_LIMIT 3
