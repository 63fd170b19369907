// Normalisation. All four ops compute, with mean and variance taken over different sets of elements,
//
//   x̂ = (x - mean) / sqrt(variance + eps),   y = gamma·x̂ + beta            (variance: divided by n, not n - 1)
//
//   batch_norm      per channel, over batch and pixels   (Ioffe and Szegedy 2015, arXiv 1502.03167)
//   layer_norm      per row, over the last dimension(s)  (Ba, Kiros, Hinton 2016, arXiv 1607.06450): layer_norm.hpp
//   group_norm      per picture and group of channels    (Wu and He 2018, arXiv 1803.08494)
//   instance_norm   per picture and channel              (Ulyanov, Vedaldi, Lempitsky 2016, arXiv 1607.08022)
//
// With n elements in a set and g = gamma·dy, the gradient is the same for all four:
//
//   dx = (g - Σg/n - x̂·Σ(g·x̂)/n) / sqrt(variance + eps),   dgamma = Σ dy·x̂,   dbeta = Σ dy
//
// Channels are the last dimension. Statistics are summed in float64 (kernels/norm.hpp).
#pragma once

#include "../autograd/tape.hpp"
#include "layer_norm.hpp"
#include "norm_state.hpp"

namespace sslcake::inline v0::ops {

/// x (..., C), rank at least 2. In training the batch must have more than one element per channel; an empty batch
/// passes and changes no statistics.
Tensor batch_norm(const Tensor& x, const NormState& norm);

/// x (N,...,C), C divisible by `groups`; gamma and beta (C) or undefined. Each set needs more than one element.
Tensor group_norm(const Tensor& x, std::int64_t groups, const Tensor& gamma = {}, const Tensor& beta = {}, double eps = 1e-5);

/// group_norm with one channel per group (without running statistics, as PyTorch's default).
Tensor instance_norm(const Tensor& x, const Tensor& gamma = {}, const Tensor& beta = {}, double eps = 1e-5);

}  // namespace sslcake::inline v0::ops

#ifndef SSLCAKE_COMPILED
#include "norm_inl.hpp"
#endif
