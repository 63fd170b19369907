// The tuned kernels on 16-byte vectors, which the base of x86-64 (SSE2) and AArch64 (NEON) has: no target attribute.
#pragma once

#include "simd/common.hpp"

#define SSLCAKE_SIMD_NAMESPACE portable
#define SSLCAKE_SIMD_TARGET
#define SSLCAKE_SIMD_LANES 4
#define SSLCAKE_SIMD_ROWS 6
#include "simd/variant.hpp"
