// Value and derivative of each function stand in kernels/functions.hpp.
#pragma once

#include "../kernels/gelu.hpp"
#include "elementwise.hpp"
#include "pointwise.hpp"

namespace sslcake::inline v0::ops {

SSLCAKE_INLINE Tensor relu(const Tensor& x) { return detail::unary<kernels::functions::Relu>("relu", x); }

SSLCAKE_INLINE Tensor leaky_relu(const Tensor& x, double negative_slope) {
  return detail::unary<kernels::functions::LeakyRelu>("leaky_relu", x, {negative_slope});
}

SSLCAKE_INLINE Tensor elu(const Tensor& x, double alpha) { return detail::unary<kernels::functions::Elu>("elu", x, {alpha}); }

// On the CPU, float32 has vector code of its own.
SSLCAKE_INLINE Tensor gelu(const Tensor& x) {
  using kernels::functions::Gelu;
  static constexpr detail::UnaryLoops loops{
      .value32 = [](const float* x, float* y, std::int64_t n, detail::Constants) { kernels::gelu(n, x, y); },
      .value64 = detail::unary_value<Gelu, double>,
      .gradient32 = [](const float* x, const float* dy, float* dx, std::int64_t n,
                       detail::Constants) { kernels::gelu_grad(n, x, dy, dx); },
      .gradient64 = detail::unary_gradient<Gelu, double>,
      .id = kernels::functions::id_in<Gelu, kernels::functions::Unary>};
  return detail::unary_op("gelu", x, Gelu::keep, {}, loops);
}

SSLCAKE_INLINE Tensor silu(const Tensor& x) { return detail::unary<kernels::functions::Silu>("silu", x); }

SSLCAKE_INLINE Tensor tanh(const Tensor& x) { return detail::unary<kernels::functions::Tanh>("tanh", x); }

SSLCAKE_INLINE Tensor sigmoid(const Tensor& x) { return detail::unary<kernels::functions::Sigmoid>("sigmoid", x); }

SSLCAKE_INLINE Tensor softplus(const Tensor& x, double beta) {
  if (!(beta > 0)) fail("softplus", "expected beta > 0, got ", beta);
  return detail::unary<kernels::functions::Softplus>("softplus", x, {beta});
}

SSLCAKE_INLINE Tensor exp(const Tensor& x) { return detail::unary<kernels::functions::Exp>("exp", x); }

SSLCAKE_INLINE Tensor log(const Tensor& x) { return detail::unary<kernels::functions::Log>("log", x); }

SSLCAKE_INLINE Tensor sqrt(const Tensor& x) { return detail::unary<kernels::functions::Sqrt>("sqrt", x); }

SSLCAKE_INLINE Tensor abs(const Tensor& x) { return detail::unary<kernels::functions::Abs>("abs", x); }

SSLCAKE_INLINE Tensor clamp(const Tensor& x, double low, double high) {
  if (!(low <= high)) fail("clamp", "expected low <= high, got ", low, " and ", high);
  return detail::unary<kernels::functions::Clamp>("clamp", x, {low, high});
}

// Whole exponents need no logarithm; the commonest is worth a case of its own.
SSLCAKE_INLINE Tensor pow(const Tensor& x, double exponent) {
  if (exponent == 2) return detail::unary<kernels::functions::Square>("pow", x);
  return detail::unary<kernels::functions::Pow>("pow", x, {exponent});
}

}  // namespace sslcake::inline v0::ops
