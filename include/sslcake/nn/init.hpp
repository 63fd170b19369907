// Initial values of parameters. Every parameter draws from a stream of its own, numbered in the order of construction
// since seed(): the same seed and the same network give the same numbers, whatever was computed in between.
#pragma once

#include "../core/random.hpp"
#include "../core/tensor.hpp"

namespace sslcake::inline v0::nn::init {

/// Uniform in [-bound, bound).
Tensor uniform(const Shape& shape, double bound);
/// Normal with mean 0.
Tensor normal(const Shape& shape, double deviation);

/// PyTorch's default for weights and biases of linear and convolution layers: uniform, bound = 1 / √fan_in. (He et al.
/// 2015, arXiv 1502.01852, with the slope a = √5 that PyTorch has for historical reasons.) fan_in: inputs per output.
Tensor default_uniform(const Shape& shape, std::int64_t fan_in);
/// He's initialisation for ReLU that keeps the gradient's variance, as torchvision's ResNets have it: normal with
/// deviation √(2 / fan_out). weight: (O,KH,KW,I), fan_out = O·KH·KW.
Tensor kaiming_normal_fan_out(const Shape& weight);

}  // namespace sslcake::inline v0::nn::init

#ifndef SSLCAKE_COMPILED
#include "init_inl.hpp"
#endif
