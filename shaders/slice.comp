#version 450
#extension GL_GOOGLE_include_directive : require
// Some of the channels.
#include "include/common.glsl"
#include "include/columns.glsl"
