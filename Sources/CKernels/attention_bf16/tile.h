#include <stdint.h>

// Queries that pass over the keys together: the lanes of four registers.
#define ATTENTION_BF16_QUERIES 64
// Keys whose scores are kept at a time; even.
#define ATTENTION_BF16_KEYS 128
