#pragma once

#include "conv2d.hpp"
#include "conv_check.hpp"
#include "cpu/reference.hpp"
#include "cpu/variant.hpp"
#include "winograd.hpp"

namespace sslcake::inline v0::kernels {
namespace detail {

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
