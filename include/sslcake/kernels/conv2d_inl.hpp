#pragma once

#include "../core/error.hpp"
#include "conv2d.hpp"
#include "cpu/reference.hpp"
#include "cpu/variant.hpp"
#include "winograd.hpp"

namespace sslcake::inline v0::kernels {
namespace detail {

/// A kernel reads memory by these numbers alone, so nonsense is refused before anything is touched.
inline void check(const ConvShape& s) {
  if (s.n < 0 || s.h < 0 || s.w < 0 || s.c < 0 || s.o < 0 || s.kh < 1 || s.kw < 1)
    fail("conv2d", "expected extents >= 0 and a kernel of at least 1x1, got input (", s.n, ",", s.h, ",", s.w, ",", s.c,
         "), ", s.o, " output channels, kernel ", s.kh, "x", s.kw);
  if (s.stride_h < 1 || s.stride_w < 1 || s.dilation_h < 1 || s.dilation_w < 1 || s.pad_h < 0 || s.pad_w < 0)
    fail("conv2d", "expected stride and dilation >= 1 and padding >= 0, got stride (", s.stride_h, ",", s.stride_w,
         "), dilation (", s.dilation_h, ",", s.dilation_w, "), padding (", s.pad_h, ",", s.pad_w, ")");
  if (s.groups < 1 || s.c % s.groups != 0 || s.o % s.groups != 0)
    fail("conv2d", "expected groups that divide both channel counts, got groups = ", s.groups, " for ", s.c,
         " input and ", s.o, " output channels");
}

/// The tuned kernels, if they have Winograd's transform and it pays for this shape; otherwise null.
inline const Variant* winograd_variant(const ConvShape& shape, bool input_grad = false) {
  const Variant& kernels = variant();
  return kernels.conv2d_winograd && takes_winograd(shape, input_grad) ? &kernels : nullptr;
}

}  // namespace detail

SSLCAKE_INLINE void conv2d_forward(const ConvShape& shape, const float* x, const float* w, float* y) {
  detail::check(shape);
  if (const Variant* fast = detail::winograd_variant(shape))
    return fast->conv2d_winograd(shape, false, x, w, y, nullptr, nullptr, nullptr);
  variant().conv2d_forward(shape, x, w, y);
}
SSLCAKE_INLINE void conv2d_forward(const ConvShape& shape, const double* x, const double* w, double* y) {
  detail::check(shape);
  reference::conv2d_forward(shape, x, w, y);
}
SSLCAKE_INLINE void conv2d_forward_sums(const ConvShape& shape, const float* x, const float* w, float* y, const float* center,
                                        double* sum, double* sum_sq) {
  detail::check(shape);
  if (const Variant* fast = detail::winograd_variant(shape))
    return fast->conv2d_winograd(shape, false, x, w, y, center, sum, sum_sq);
  variant().conv2d_forward_sums(shape, x, w, y, center, sum, sum_sq);
}
SSLCAKE_INLINE void conv2d_forward_sums(const ConvShape& shape, const double* x, const double* w, double* y,
                                        const double* center, double* sum, double* sum_sq) {
  detail::check(shape);
  reference::conv2d_forward_sums(shape, x, w, y, center, sum, sum_sq);
}
SSLCAKE_INLINE void conv2d_input_grad(const ConvShape& shape, const float* dy, const float* w, float* dx) {
  detail::check(shape);
  if (const Variant* fast = detail::winograd_variant(shape, true))
    return fast->conv2d_winograd(shape, true, dy, w, dx, nullptr, nullptr, nullptr);
  variant().conv2d_input_grad(shape, dy, w, dx);
}
SSLCAKE_INLINE void conv2d_input_grad(const ConvShape& shape, const double* dy, const double* w, double* dx) {
  detail::check(shape);
  reference::conv2d_input_grad(shape, dy, w, dx);
}
SSLCAKE_INLINE void conv2d_weight_grad(const ConvShape& shape, const float* x, const float* dy, float* dw) {
  detail::check(shape);
  if (const Variant* fast = detail::winograd_variant(shape)) return fast->conv2d_winograd_weight_grad(shape, x, dy, dw);
  variant().conv2d_weight_grad(shape, x, dy, dw);
}
SSLCAKE_INLINE void conv2d_weight_grad(const ConvShape& shape, const double* x, const double* dy, double* dw) {
  detail::check(shape);
  reference::conv2d_weight_grad(shape, x, dy, dw);
}

}  // namespace sslcake::inline v0::kernels
