#include <isa-l/crc.h>
#include <isa-l/igzip_lib.h>

// Swift imports no macro that is an expression.
enum { igzip_level_1_buffer_bytes = ISAL_DEF_LVL1_DEFAULT };

// To be called after ISA-L: its kernels for x86 leave the upper halves of vector registers in use,
// which makes SSE code behind them, all that Swift compiles to, five times as slow.
static inline void clear_upper_halves(void) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx")) __asm__ volatile("vzeroupper" ::: "memory");
#endif
}
