// Broadcasting, NumPy's rule (internal): shapes are aligned at the last dimension; a dimension of extent 1, or a missing
// one, is repeated. (N,H,W,C) with (C) repeats a vector over all positions; (N,C) with (N,1) a number over each row.
#pragma once

#include <array>
#include <cstdint>

#include "../core/tensor.hpp"

namespace sslcake::inline v0::ops::detail {

/// How two shapes meet: the result's shape, and its dimensions merged into as few as possible, with the step that each
/// operand makes (in elements) along them; 0 where it is repeated. The common cases end with one or two dimensions.
struct Broadcast {
  Shape shape;
  int rank = 0;
  std::array<std::int64_t, Shape::capacity> extent{}, step_a{}, step_b{};
};

/// Fails naming `op`, both shapes and the dimension if they do not fit.
Broadcast broadcast(const char* op, const Shape& a, const Shape& b);

enum class Arithmetic { add, sub, mul, div, equal /* 1 or 0 */ };  // in the order of kernels::functions::Arithmetic
/// a ∘ b with broadcasting, plain numbers: nothing is recorded. Both of one floating-point type.
Tensor arithmetic(Arithmetic kind, const char* op, const Tensor& a, const Tensor& b);

/// t repeated to `shape`, as broadcasting would.
Tensor repeat_to(const Tensor& t, const Shape& shape);

}  // namespace sslcake::inline v0::ops::detail

#ifndef SSLCAKE_COMPILED
#include "broadcast_inl.hpp"
#endif
