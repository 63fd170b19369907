// The plain bfloat16 matrix product on tensor cores.
#pragma once

#include <cstdint>

#include "../../core/config.hpp"

namespace sslcake::inline v0::kernels::cuda {

/// C (m,n) = A (m,k) · B (n,k)^T, all bfloat16, row by row without gaps; sums in float32, rounded once. C is overwritten.
/// Fast where k % 8 == 0 and A and B are aligned to 16 bytes; else both are copied first.
void gemm_bfloat16(std::int64_t m, std::int64_t n, std::int64_t k, const void* a, const void* b_transposed, void* c);

}  // namespace sslcake::inline v0::kernels::cuda
