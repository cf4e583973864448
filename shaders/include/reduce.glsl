// Sums and maxima over a workgroup, always in the same order. All invocations must call them.
shared float parts[GROUP];

float workgroupSum(float x) {
  parts[lane()] = x;
  barrier();
  for (uint half_ = GROUP / 2u; half_ > 0u; half_ /= 2u) {
    if (lane() < half_) parts[lane()] += parts[lane() + half_];
    barrier();
  }
  float sum = parts[0];
  barrier();
  return sum;
}

float workgroupMaximum(float x) {
  parts[lane()] = x;
  barrier();
  for (uint half_ = GROUP / 2u; half_ > 0u; half_ /= 2u) {
    if (lane() < half_) parts[lane()] = max(parts[lane()], parts[lane() + half_]);
    barrier();
  }
  float maximum = parts[0];
  barrier();
  return maximum;
}
