// Pointwise functions: y_i = f(x_i). float32, float64 and bfloat16 (computed in float); any shape. Each keeps for its
// gradient either its input or its result, whichever the derivative is simplest in.
#pragma once

#include "../core/tensor.hpp"

namespace sslcake::inline v0::ops {

/// max(0, x). Keeps its result, which the next layer keeps anyway.
Tensor relu(const Tensor& x);
/// x for x > 0, negative_slope · x otherwise (Maas, Hannun, Ng 2013). Default slope as in PyTorch.
Tensor leaky_relu(const Tensor& x, double negative_slope = 0.01);
/// x for x > 0, alpha · (eˣ − 1) otherwise (Clevert, Unterthiner, Hochreiter 2015, arXiv 1511.07289).
Tensor elu(const Tensor& x, double alpha = 1.0);
/// x · Φ(x) with the normal distribution function Φ by erf, not by the tanh formula (Hendrycks, Gimpel 2016, arXiv 1606.08415).
Tensor gelu(const Tensor& x);
/// x · σ(x), also called swish (arXiv 1606.08415; Ramachandran, Zoph, Le 2017, arXiv 1710.05941).
Tensor silu(const Tensor& x);
Tensor tanh(const Tensor& x);
/// 1 / (1 + e⁻ˣ).
Tensor sigmoid(const Tensor& x);
/// log(1 + e^(beta·x)) / beta, without overflow for large x.
Tensor softplus(const Tensor& x, double beta = 1.0);
Tensor exp(const Tensor& x);
Tensor log(const Tensor& x);
Tensor sqrt(const Tensor& x);
/// |x|; the gradient at 0 is 0.
Tensor abs(const Tensor& x);
/// x limited to [low, high]; the gradient is 1 inside and on the bounds, 0 outside. Fails if low > high.
Tensor clamp(const Tensor& x, double low, double high);
/// x to the power of a number. A negative x with a fractional exponent gives NaN, as std::pow does.
Tensor pow(const Tensor& x, double exponent);

}  // namespace sslcake::inline v0::ops

#ifndef SSLCAKE_COMPILED
#include "pointwise_inl.hpp"
#endif
