// Matrix products.
#pragma once

#include "../core/tensor.hpp"

namespace sslcake::inline v0::ops {

/// op(A)·op(B) on the last two dimensions, op(X) = X or its transpose: (..., m, k) · (..., k, n) → (..., m, n); with
/// `transpose_a` A is stored (..., k, m), with `transpose_b` B is stored (..., n, k), read where it lies. The dimensions
/// before the last two are broadcast against each other. float32 and float64; or bfloat16, with sums of products in float32,
/// rounded once.
Tensor matmul(const Tensor& a, const Tensor& b, bool transpose_a = false, bool transpose_b = false);

/// y = x·wᵀ + b. x: (..., in); weight: (out, in), as PyTorch keeps it; bias: (out), or undefined for none; y: (..., out).
/// float32 and float64; or x and y bfloat16, weight and bias float32, sums of products in float32, rounded once.
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias = {});

}  // namespace sslcake::inline v0::ops

#ifndef SSLCAKE_COMPILED
#include "matmul_inl.hpp"
#endif
