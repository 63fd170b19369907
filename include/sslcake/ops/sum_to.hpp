// The gradient of broadcasting (internal).
#pragma once

#include "../core/tensor.hpp"

namespace sslcake::inline v0::ops::detail {

/// Sums t over the dimensions along which `shape` was repeated to give t's shape: the gradient of broadcasting. Returns
/// t itself where nothing was repeated.
Tensor sum_to(const Tensor& t, const Shape& shape);

}  // namespace sslcake::inline v0::ops::detail

#ifndef SSLCAKE_COMPILED
#include "sum_to_inl.hpp"
#endif
