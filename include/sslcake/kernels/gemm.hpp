// Matrix products on plain pointers: what every linear layer, similarity and 1x1 convolution comes down to.
//
//   C (m,n)  =  op(A) (m,k) · op(B) (k,n)        op(X) = X or its transpose
//
// Matrices are row-major with a leading dimension: element (i,j) of A lies at a[i*lda + j]. A transposed operand is
// read where it lies; nothing has to be copied before the call.
#pragma once

#include <cstdint>

#include "../core/config.hpp"

namespace sslcake::inline v0::kernels {

/// C = op(A)·op(B), or C += op(A)·op(B) with `accumulate`.
/// trans_a: A is stored (k,m) instead of (m,k); trans_b: B is stored (n,k) instead of (k,n).
/// Leading dimensions count elements, and are at least the stored row length. Any extent may be 0: an empty C is left
/// alone, and k = 0 gives zeros (or C unchanged with `accumulate`). C must not overlap A or B.
/// The result is the same to the bit for every number of threads.
void gemm(bool trans_a, bool trans_b, std::int64_t m, std::int64_t n, std::int64_t k, const float* a, std::int64_t lda,
          const float* b, std::int64_t ldb, float* c, std::int64_t ldc, bool accumulate = false);
/// The same in float64 (always by the reference).
void gemm(bool trans_a, bool trans_b, std::int64_t m, std::int64_t n, std::int64_t k, const double* a, std::int64_t lda,
          const double* b, std::int64_t ldb, double* c, std::int64_t ldc, bool accumulate = false);

}  // namespace sslcake::inline v0::kernels

#ifndef SSLCAKE_COMPILED
#include "gemm_inl.hpp"
#endif
