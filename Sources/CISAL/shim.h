#include <isa-l/crc.h>
#include <isa-l/igzip_lib.h>

// Swift imports no macro that is an expression.
enum { igzip_level_1_buffer_bytes = ISAL_DEF_LVL1_DEFAULT };
