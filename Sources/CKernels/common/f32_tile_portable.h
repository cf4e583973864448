// Quarters of a block: 8 accumulators of SSE2's 16 registers, 16 of NEON's 32.
#if defined(__aarch64__)
#define ROW_LIMIT(blocks) 5
#else
#define ROW_LIMIT(blocks) 2
#endif
#define BLOCK_LIMIT 1
