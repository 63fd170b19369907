// Dropout (Hinton et al. 2012, arXiv 1207.0580; Srivastava et al., JMLR 2014), in the inverted form: what is kept is
// scaled up while training, so that nothing need be done at evaluation.
#pragma once

#include "../core/tensor.hpp"

namespace sslcake::inline v0::ops {

/// y = x·m/(1 − p), where each m is 0 with probability p and 1 otherwise; x itself unless `training` and p > 0.
/// float32, float64, bfloat16. The mask is a function of (global_seed(), the number of this call since seed(), position):
/// nothing is stored for the backward pass, which draws the same mask again.
/// Errors: p outside of [0,1].
Tensor dropout(const Tensor& x, double p, bool training);

}  // namespace sslcake::inline v0::ops

#ifndef SSLCAKE_COMPILED
#include "dropout_inl.hpp"
#endif
