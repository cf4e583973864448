// What all shaders share. A workgroup has 64 invocations and at most 16 KiB of shared memory, which
// every device has; nothing is assumed of subgroups.
layout(local_size_x = 64) in;

const uint GROUP = 64u;
#define INFINITY uintBitsToFloat(0x7f800000u)

// A buffer of the descriptor set; where a value begins in it comes with the arguments, in words.
#define FLOATS(place, name) \
  layout(binding = place, std430) buffer name##_buffer { float name[]; }
#define WORDS(place, name) \
  layout(binding = place, std430) buffer name##_buffer { uint name[]; }

// Workgroups are counted over two axes, because one may not be long enough.
uint groupIndex() { return gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x; }
uint lane() { return gl_LocalInvocationIndex; }
uint elementIndex() { return groupIndex() * GROUP + lane(); }
