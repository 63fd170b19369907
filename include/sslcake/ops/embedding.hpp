// Lookup of rows: words, positions, class vectors.
#pragma once

#include "../core/tensor.hpp"

namespace sslcake::inline v0::ops {

/// Row index[...] of `weight` (V,D) for every index: (...) int64 → (..., D). The gradient of the weight is dense: rows that
/// were looked up several times get the sum, others zero.
/// Errors: an index outside of [0, V). On CUDA nobody looks: its row is NaN and has no gradient.
Tensor embedding(const Tensor& index, const Tensor& weight);

}  // namespace sslcake::inline v0::ops

#ifndef SSLCAKE_COMPILED
#include "embedding_inl.hpp"
#endif
