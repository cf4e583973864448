// Every check at every level that this processor has, for running cross-compiled kernels under
// qemu-user. Prints what fails; exits 1 if anything does.
#include <stdio.h>

#include "CKernelsChecks.h"

static int failures, checks;

static void expect(const char *what, double error) {
  checks++;
  if (error <= 1) return;
  printf("FAILED %s: error is %g of what is allowed\n", what, error);
  failures++;
}
#define EXPECT(call) expect(#call, call)

static void check_level(banana_level level) {
  const int rows[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 19}, outputs[] = {1, 15, 16, 17, 51, 70};
  const int inputs[] = {1, 3, 4, 5, 8, 16, 20, 67};
  for (int i = 0; i < 10; i++) {
    for (int j = 0; j < 6; j++) {
      for (int k = 0; k < 8; k++) {
        EXPECT(banana_check_linear_int8(level, rows[i], outputs[j], inputs[k]));
        EXPECT(banana_check_linear_f32(level, rows[i], outputs[j], inputs[k]));
      }
      EXPECT(banana_check_linear_int4(level, rows[i], outputs[j], 32, 32));
      EXPECT(banana_check_linear_int4(level, rows[i], outputs[j], 100, 32));
      EXPECT(banana_check_linear_int4(level, rows[i], outputs[j], 100, 64));
      EXPECT(banana_check_linear_int4(level, rows[i] + 16, outputs[j], 100, 64));
      for (int activation = 0; activation < BANANA_ACTIVATION_COUNT; activation++) {
        EXPECT(banana_check_epilogue(level, rows[i], outputs[j], activation, j % 4, i % 2, (i + j) % 2 * 6));
      }
    }
    for (int k = 0; k < 8; k++) {
      EXPECT(banana_check_quantize(level, rows[i], inputs[k], k % 2, k % 3 * -40));
      EXPECT(banana_check_norm(level, rows[i], inputs[k] + 12, k % 2, i % 2));
    }
    EXPECT(banana_check_attention(level, rows[i], 7, 20, 6, 2, 16));
    EXPECT(banana_check_attention(level, rows[i], 16, 48, 2, 2, 20));
  }
  EXPECT(banana_check_attention(level, 40, 5, 40, 4, 2, 40));
  EXPECT(banana_check_attention(level, 9, 30, 270, 1, 1, 512));
  EXPECT(banana_check_convolution_int8(level, 5, 7, 12, 20));
  EXPECT(banana_check_convolution_f32(level, 5, 7, 3, 20));
  EXPECT(banana_check_group_norm(level, 3, 20, 5));
  EXPECT(banana_check_group_norm(level, 515, 64, 4));
  EXPECT(banana_check_head_norm(level, 5, 3, 64, 32));
  EXPECT(banana_check_head_norm(level, 5, 2, 12, 6));
  for (int activation = 0; activation < BANANA_ACTIVATION_COUNT; activation++) {
    EXPECT(banana_check_activation(level, activation));
    EXPECT(banana_check_gated_activation(level, 37, activation));
  }
  EXPECT(banana_check_elementwise(level, 37));
}

int main(void) {
  for (int level = 0; level < BANANA_LEVEL_COUNT; level++) {
    const banana_kernels *kernels = banana_kernels_for(level);
    if (!kernels) continue;
    const int before = failures;
    check_level(level);
    printf("%s: %s\n", kernels->name, failures == before ? "ok" : "FAILED");
  }
  EXPECT(banana_check_pack(19, 21));
  EXPECT(banana_check_embedding(5, 64));
  EXPECT(banana_check_pixels(4, 3, 5, 2));
  EXPECT(banana_check_patches(5, 4, 3, 3, 1, 1, 1));
  EXPECT(banana_check_patches(5, 4, 3, 3, 0, 2, 1));
  EXPECT(banana_check_patches(5, 4, 3, 3, 1, 1, 2));
  printf("%d checks, %d failures\n", checks, failures);
  return failures != 0;
}
