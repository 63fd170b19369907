// Layer normalisation (Ba, Kiros, Hinton, "Layer normalization", 2016, arXiv 1607.06450). Each row, that is each run of
// elements along the last dimension(s), is brought to mean 0 and variance 1 on its own; norm.hpp has the equations.
#pragma once

#include "../autograd/tape.hpp"

namespace sslcake::inline v0::ops {

struct LayerNormOptions {
  int dims = 1;       // how many dimensions, from the last, are normalised together
  double eps = 1e-5;  // PyTorch's default; vision transformers use 1e-6 (timm)
  bool to_bfloat16 = false;  // of float32: round the result, which linear layers in bfloat16 then read
};
/// gamma and beta have the shape of the normalised dimensions, or are undefined. float32 and float64.
Tensor layer_norm(const Tensor& x, const Tensor& gamma = {}, const Tensor& beta = {}, const LayerNormOptions& options = {});

}  // namespace sslcake::inline v0::ops

#ifndef SSLCAKE_COMPILED
#include "layer_norm_inl.hpp"
#endif
