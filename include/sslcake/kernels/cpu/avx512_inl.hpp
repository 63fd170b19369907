// The tuned kernels for AVX-512. Of 32 vector registers only 16 hold sums: a tile of 8 x 32 needs 8 row pointers, and
// it is the 16 general registers, not the vectors, that more rows would run out of.
#pragma once

#include "simd/common.hpp"

#if SSLCAKE_X86
#define SSLCAKE_SIMD_NAMESPACE avx512
#define SSLCAKE_SIMD_TARGET __attribute__((target("avx512f,avx2,fma")))
#define SSLCAKE_SIMD_LANES 16
#define SSLCAKE_SIMD_ROWS 8
#define SSLCAKE_SIMD_PAIRS __attribute__((target("avx512bf16,avx512f,avx2,fma")))
#define SSLCAKE_SIMD_PAIRS_ASM 1
#include "simd/variant.hpp"
#endif
