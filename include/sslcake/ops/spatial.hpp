// What the ops on pictures share: a pair of extents, and the checks of their arguments.
#pragma once

#include <cstdint>

#include "../core/tensor.hpp"

namespace sslcake::inline v0::ops {

/// A number for the height and one for the width: `.stride = 2` means both, `.padding = {1, 0}` each.
struct HW {
  std::int64_t h = 1, w = 1;
  constexpr HW(std::int64_t both) : h(both), w(both) {}  // NOLINT: implicit on purpose
  constexpr HW(std::int64_t height, std::int64_t width) : h(height), w(width) {}
  friend constexpr bool operator==(HW a, HW b) { return a.h == b.h && a.w == b.w; }
  std::string str() const { return sslcake::concat('(', h, ',', w, ')'); }
};

namespace detail {

/// Parameters and their gradients are float32 where pictures are bfloat16, and of the pictures' type elsewhere.
constexpr DType parameter_type(DType pictures) { return pictures == DType::bfloat16 ? DType::float32 : pictures; }

/// Pictures are (N,H,W,C) of a floating-point type.
inline void expect_pictures(const char* where, const Tensor& x) {
  if (!x.defined() || x.rank() != 4)
    fail(where, "expected pictures (N,H,W,C), got ", x.defined() ? x.shape().str() : "an undefined tensor");
  if (!is_floating(x.dtype()))
    fail(where, "expected pictures of floating-point numbers, got ", x.dtype(), "; convert with ops::cast");
}

/// A second operand `name` of the wanted shape and type: that of x, or x's parameter_type.
inline void expect_operand(const char* where, const char* name, const Tensor& t, const Shape& wanted, DType dtype) {
  if (!t.defined() || !(t.shape() == wanted))
    fail(where, "expected ", name, " of shape ", wanted, ", got ", t.defined() ? t.shape().str() : "an undefined tensor");
  if (t.dtype() != dtype)
    fail(where, "expected ", name, " of type ", dtype, " beside this input, got ", t.dtype());
}

}  // namespace detail
}  // namespace sslcake::inline v0::ops
