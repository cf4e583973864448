#version 450
#extension GL_GOOGLE_include_directive : require
// One of several tensors whose channels stand side by side.
#include "include/common.glsl"
#include "include/columns.glsl"
