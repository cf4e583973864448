// Written by scripts/build-shaders.
#include "CShaders.h"

#pragma clang diagnostic ignored "-Wc23-extensions"

static const _Alignas(4) unsigned char activation[] = {
#embed "../../shaders/spirv/activation.spv"
};

static const _Alignas(4) unsigned char attention[] = {
#embed "../../shaders/spirv/attention.spv"
};

static const _Alignas(4) unsigned char binary[] = {
#embed "../../shaders/spirv/binary.spv"
};

static const _Alignas(4) unsigned char concatenation[] = {
#embed "../../shaders/spirv/concatenation.spv"
};

static const _Alignas(4) unsigned char convolution[] = {
#embed "../../shaders/spirv/convolution.spv"
};

static const _Alignas(4) unsigned char convolution_int8[] = {
#embed "../../shaders/spirv/convolution_int8.spv"
};

static const _Alignas(4) unsigned char convolution_int8_dot[] = {
#embed "../../shaders/spirv/convolution_int8_dot.spv"
};

static const _Alignas(4) unsigned char depthToSpace[] = {
#embed "../../shaders/spirv/depthToSpace.spv"
};

static const _Alignas(4) unsigned char embedding[] = {
#embed "../../shaders/spirv/embedding.spv"
};

static const _Alignas(4) unsigned char fold[] = {
#embed "../../shaders/spirv/fold.spv"
};

static const _Alignas(4) unsigned char gatedActivation[] = {
#embed "../../shaders/spirv/gatedActivation.spv"
};

static const _Alignas(4) unsigned char groupNorm[] = {
#embed "../../shaders/spirv/groupNorm.spv"
};

static const _Alignas(4) unsigned char headNorm[] = {
#embed "../../shaders/spirv/headNorm.spv"
};

static const _Alignas(4) unsigned char linear[] = {
#embed "../../shaders/spirv/linear.spv"
};

static const _Alignas(4) unsigned char linear_int8[] = {
#embed "../../shaders/spirv/linear_int8.spv"
};

static const _Alignas(4) unsigned char linear_int8_dot[] = {
#embed "../../shaders/spirv/linear_int8_dot.spv"
};

static const _Alignas(4) unsigned char matmul[] = {
#embed "../../shaders/spirv/matmul.spv"
};

static const _Alignas(4) unsigned char meanPool[] = {
#embed "../../shaders/spirv/meanPool.spv"
};

static const _Alignas(4) unsigned char norm[] = {
#embed "../../shaders/spirv/norm.spv"
};

static const _Alignas(4) unsigned char parameter[] = {
#embed "../../shaders/spirv/parameter.spv"
};

static const _Alignas(4) unsigned char patchSum[] = {
#embed "../../shaders/spirv/patchSum.spv"
};

static const _Alignas(4) unsigned char quantize[] = {
#embed "../../shaders/spirv/quantize.spv"
};

static const _Alignas(4) unsigned char scale[] = {
#embed "../../shaders/spirv/scale.spv"
};

static const _Alignas(4) unsigned char sinusoidal[] = {
#embed "../../shaders/spirv/sinusoidal.spv"
};

static const _Alignas(4) unsigned char slice[] = {
#embed "../../shaders/spirv/slice.spv"
};

static const _Alignas(4) unsigned char spaceToDepth[] = {
#embed "../../shaders/spirv/spaceToDepth.spv"
};

static const banana_shader shaders[] = {
    {"activation", activation, sizeof(activation)},
    {"attention", attention, sizeof(attention)},
    {"binary", binary, sizeof(binary)},
    {"concatenation", concatenation, sizeof(concatenation)},
    {"convolution", convolution, sizeof(convolution)},
    {"convolution_int8", convolution_int8, sizeof(convolution_int8)},
    {"convolution_int8_dot", convolution_int8_dot, sizeof(convolution_int8_dot)},
    {"depthToSpace", depthToSpace, sizeof(depthToSpace)},
    {"embedding", embedding, sizeof(embedding)},
    {"fold", fold, sizeof(fold)},
    {"gatedActivation", gatedActivation, sizeof(gatedActivation)},
    {"groupNorm", groupNorm, sizeof(groupNorm)},
    {"headNorm", headNorm, sizeof(headNorm)},
    {"linear", linear, sizeof(linear)},
    {"linear_int8", linear_int8, sizeof(linear_int8)},
    {"linear_int8_dot", linear_int8_dot, sizeof(linear_int8_dot)},
    {"matmul", matmul, sizeof(matmul)},
    {"meanPool", meanPool, sizeof(meanPool)},
    {"norm", norm, sizeof(norm)},
    {"parameter", parameter, sizeof(parameter)},
    {"patchSum", patchSum, sizeof(patchSum)},
    {"quantize", quantize, sizeof(quantize)},
    {"scale", scale, sizeof(scale)},
    {"sinusoidal", sinusoidal, sizeof(sinusoidal)},
    {"slice", slice, sizeof(slice)},
    {"spaceToDepth", spaceToDepth, sizeof(spaceToDepth)},
};
const banana_shader *banana_shader_table(void) { return shaders; }
const int32_t banana_shader_count = sizeof(shaders) / sizeof(shaders[0]);
