#pragma once

#include "cpu/reference.hpp"
#include "cpu/variant.hpp"
#include "gemm.hpp"

namespace sslcake::inline v0::kernels {

SSLCAKE_INLINE void gemm(bool trans_a, bool trans_b, std::int64_t m, std::int64_t n, std::int64_t k, const float* a,
                         std::int64_t lda, const float* b, std::int64_t ldb, float* c, std::int64_t ldc, bool accumulate) {
  variant().gemm(trans_a, trans_b, m, n, k, a, lda, b, ldb, c, ldc, accumulate);
}

SSLCAKE_INLINE void gemm(bool trans_a, bool trans_b, std::int64_t m, std::int64_t n, std::int64_t k, const double* a,
                         std::int64_t lda, const double* b, std::int64_t ldb, double* c, std::int64_t ldc,
                         bool accumulate) {
  reference::gemm(trans_a, trans_b, m, n, k, a, lda, b, ldb, c, ldc, accumulate);
}

}  // namespace sslcake::inline v0::kernels
