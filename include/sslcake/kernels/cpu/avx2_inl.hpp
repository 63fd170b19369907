// The tuned kernels for AVX2 with fused multiply-add: 6 x 16 tiles, 12 of 16 registers hold sums.
#pragma once

#include "simd/common.hpp"

#if SSLCAKE_X86
#define SSLCAKE_SIMD_NAMESPACE avx2
#define SSLCAKE_SIMD_TARGET __attribute__((target("avx2,fma")))
#define SSLCAKE_SIMD_LANES 8
#define SSLCAKE_SIMD_ROWS 6
#include "simd/variant.hpp"
#endif
