// Softmax along one axis, computed without overflow by subtracting the largest element first. float32 and float64.
#pragma once

#include "../core/tensor.hpp"

namespace sslcake::inline v0::ops {

/// y_i = e^{x_i} / Σ_j e^{x_j}.
Tensor softmax(const Tensor& x, int axis = -1);
/// log of softmax: y_i = x_i − log Σ_j e^{x_j}, precise where softmax itself would round to 0.
Tensor log_softmax(const Tensor& x, int axis = -1);

}  // namespace sslcake::inline v0::ops

#ifndef SSLCAKE_COMPILED
#include "softmax_inl.hpp"
#endif
