// Every kernel of a level against a naive scalar form. In C, so that the same checks run in the
// Swift tests and, cross-compiled, under qemu-user.
#ifndef BANANA_CKERNELS_CHECKS_H
#define BANANA_CKERNELS_CHECKS_H

#include "CKernels.h"

// The largest error found, in units of what each check allows: at most 1 passes. Exact checks
// return 0 or infinity.
double banana_check_linear_int8(banana_level level, int m, int n, int k);
double banana_check_convolution_int8(banana_level level, int h, int w, int c, int n);
double banana_check_linear_int4(banana_level level, int m, int n, int k, int group);
double banana_check_linear_f32(banana_level level, int m, int n, int k);
double banana_check_convolution_f32(banana_level level, int h, int w, int c, int n);
double banana_check_epilogue(banana_level level, int m, int n, int activation, int gate_rows,
                             bool residual, int rank);
double banana_check_quantize(banana_level level, int m, int k, bool smooth, int zero);
double banana_check_norm(banana_level level, int m, int n, bool subtract_mean, bool modulated);
double banana_check_group_norm(banana_level level, int rows, int n, int groups);
double banana_check_head_norm(banana_level level, int tokens, int heads, int width, int stretch);
double banana_check_attention(banana_level level, int queries, int text, int latents, int heads,
                              int kv_heads, int width);
// In units of the error of exact attention over queries, keys and values that are rounded to int8;
// 0 where there is no such kernel. The first tokens are `outlier` times as large as the others.
double banana_check_attention_bf16(banana_level level, int queries, int text, int latents,
                                   int heads, int kv_heads, int width, float distance,
                                   float outlier);
double banana_check_activation(banana_level level, int activation);
double banana_check_gated_activation(banana_level level, int count, int activation);
double banana_check_elementwise(banana_level level, int count);
double banana_check_pack(int n, int k);
double banana_check_embedding(int rows, int width);
double banana_check_pixels(int h, int w, int c, int factor);
double banana_check_patches(int h, int w, int kernel_h, int kernel_w, int padding, int stride,
                            int upsampling);


// Heap allocations of this process so far (0 where they cannot be counted).
uint64_t banana_allocation_count(void);
// Whether it does: not beside a sanitizer.
bool banana_counts_allocations(void);

#endif
