// The Gaussian error linear unit (Hendrycks and Gimpel, 2016, arXiv 1606.08415) on runs of float32, vectorised: in a
// vision transformer it goes over the hidden layers, which are four times as wide as the tokens, and the C library's erf is a
// call for each number.
//
//   gelu(x) = x Φ(x),   gelu'(x) = Φ(x) + x φ(x),   φ(x) = exp(-x²/2)/√(2π),   Φ(-x) = φ(x) R(x)  for x >= 0
//
// R, Mills' ratio, is smooth: a polynomial in t = 1/(1 + 0.35 x) comes within 3e-8 of it, and Φ(x) = 1 - φ(x) R(x)
// for the other half. So one exponential gives both Φ and φ, and small values keep their digits. NaN stays NaN.
#pragma once

#include <cstdint>

#include "../core/config.hpp"

namespace sslcake::inline v0::kernels {

/// y[i] = gelu(x[i]). x and y may be the same. One thread.
void gelu(std::int64_t n, const float* x, float* y);
/// dx[i] = dy[i]·gelu'(x[i]). dx may be dy. One thread.
void gelu_grad(std::int64_t n, const float* x, const float* dy, float* dx);

}  // namespace sslcake::inline v0::kernels

#ifndef SSLCAKE_COMPILED
#include "gelu_inl.hpp"
#endif
