// The rotation of a lapped transform.
#include "CKernels.h"

void banana_fold(float *left, float *right, size_t count, float cosine, float sine) {
  for (size_t i = 0; i < count; i++) {
    const float l = left[i], r = right[i];
    left[i] = cosine * l + sine * r;
    right[i] = cosine * r - sine * l;
  }
}
