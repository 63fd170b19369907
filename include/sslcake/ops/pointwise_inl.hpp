// Value and derivative of each function, side by side. In the lambdas, x is the input, y the result, dy the gradient of
// the loss with respect to y, and c.a, c.b the op's constants in the same type.
#pragma once

#include <cmath>
#include <numbers>

#include "../kernels/gelu.hpp"
#include "elementwise.hpp"
#include "loops.hpp"
#include "pointwise.hpp"

namespace sslcake::inline v0::ops {

// max(0,x); written so that NaN stays NaN.
SSLCAKE_INLINE Tensor relu(const Tensor& x) {
  return detail::unary("relu", x, detail::Keep::output, {},
      [](auto x, auto) { return x < 0 ? decltype(x)(0) : x; },
      [](auto y, auto dy, auto) { return y <= 0 ? decltype(y)(0) : dy; });
}

SSLCAKE_INLINE Tensor leaky_relu(const Tensor& x, double negative_slope) {
  return detail::unary("leaky_relu", x, detail::Keep::input, {negative_slope},
      [](auto x, auto c) { return x > 0 ? x : c.a * x; },
      [](auto x, auto dy, auto c) { return x > 0 ? dy : c.a * dy; });
}

// d/dx alpha (eˣ − 1) = alpha eˣ = y + alpha, but y + alpha loses digits where y ≈ −alpha, so from x.
SSLCAKE_INLINE Tensor elu(const Tensor& x, double alpha) {
  return detail::unary("elu", x, detail::Keep::input, {alpha},
      [](auto x, auto c) { return x > 0 ? x : c.a * std::expm1(x); },
      [](auto x, auto dy, auto c) { return x > 0 ? dy : dy * c.a * std::exp(x); });
}

// d/dx x Φ(x) = Φ(x) + x φ(x), φ the normal density. float32 has vector code of its own.
SSLCAKE_INLINE Tensor gelu(const Tensor& x) {
  static constexpr detail::UnaryLoops loops{
      .value32 = [](const float* x, float* y, std::int64_t n, detail::Constants) { kernels::gelu(n, x, y); },
      .value64 = [](const double* x, double* y, std::int64_t n, detail::Constants) {
        for (std::int64_t i = 0; i < n; ++i) y[i] = x[i] * detail::normal_cdf(x[i]);
      },
      .gradient32 = [](const float* x, const float* dy, float* dx, std::int64_t n, detail::Constants) { kernels::gelu_grad(n, x, dy, dx); },
      .gradient64 = [](const double* x, const double* dy, double* dx, std::int64_t n, detail::Constants) {
        const double scale = std::numbers::inv_sqrtpi * (std::numbers::sqrt2 / 2);
        for (std::int64_t i = 0; i < n; ++i) dx[i] = dy[i] * (detail::normal_cdf(x[i]) + x[i] * scale * std::exp(-0.5 * x[i] * x[i]));
      }};
  return detail::unary_op("gelu", x, detail::Keep::input, {}, loops);
}

// d/dx x σ(x) = σ(x) (1 + x (1 − σ(x))).
SSLCAKE_INLINE Tensor silu(const Tensor& x) {
  return detail::unary("silu", x, detail::Keep::input, {},
      [](auto x, auto) { return x * detail::logistic(x); },
      [](auto x, auto dy, auto) {
        const auto s = detail::logistic(x);
        return dy * s * (1 + x * (1 - s));
      });
}

SSLCAKE_INLINE Tensor tanh(const Tensor& x) {
  return detail::unary("tanh", x, detail::Keep::output, {},
      [](auto x, auto) { return std::tanh(x); },
      [](auto y, auto dy, auto) { return dy * (1 - y * y); });
}

SSLCAKE_INLINE Tensor sigmoid(const Tensor& x) {
  return detail::unary("sigmoid", x, detail::Keep::output, {},
      [](auto x, auto) { return detail::logistic(x); },
      [](auto y, auto dy, auto) { return dy * y * (1 - y); });
}

SSLCAKE_INLINE Tensor softplus(const Tensor& x, double beta) {
  if (!(beta > 0)) fail("softplus", "expected beta > 0, got ", beta);
  return detail::unary("softplus", x, detail::Keep::input, {beta},
      [](auto x, auto c) { return detail::log1p_exp(c.a * x) / c.a; },
      [](auto x, auto dy, auto c) { return dy * detail::logistic(c.a * x); });
}

SSLCAKE_INLINE Tensor exp(const Tensor& x) {
  return detail::unary("exp", x, detail::Keep::output, {},
      [](auto x, auto) { return std::exp(x); },
      [](auto y, auto dy, auto) { return dy * y; });
}

SSLCAKE_INLINE Tensor log(const Tensor& x) {
  return detail::unary("log", x, detail::Keep::input, {},
      [](auto x, auto) { return std::log(x); },
      [](auto x, auto dy, auto) { return dy / x; });
}

SSLCAKE_INLINE Tensor sqrt(const Tensor& x) {
  return detail::unary("sqrt", x, detail::Keep::output, {},
      [](auto x, auto) { return std::sqrt(x); },
      [](auto y, auto dy, auto) { return dy / (2 * y); });
}

SSLCAKE_INLINE Tensor abs(const Tensor& x) {
  return detail::unary("abs", x, detail::Keep::input, {},
      [](auto x, auto) { return std::abs(x); },
      [](auto x, auto dy, auto) { return x > 0 ? dy : x < 0 ? -dy : decltype(x)(0); });
}

SSLCAKE_INLINE Tensor clamp(const Tensor& x, double low, double high) {
  if (!(low <= high)) fail("clamp", "expected low <= high, got ", low, " and ", high);
  return detail::unary("clamp", x, detail::Keep::input, {low, high},
      [](auto x, auto c) { return x < c.a ? c.a : x > c.b ? c.b : x; },
      [](auto x, auto dy, auto c) { return x >= c.a && x <= c.b ? dy : decltype(x)(0); });
}

// Whole exponents need no logarithm; the commonest is worth a case of its own.
SSLCAKE_INLINE Tensor pow(const Tensor& x, double exponent) {
  if (exponent == 2)
    return detail::unary("pow", x, detail::Keep::input, {},
        [](auto x, auto) { return x * x; },
        [](auto x, auto dy, auto) { return 2 * x * dy; });
  return detail::unary("pow", x, detail::Keep::input, {exponent},
      [](auto x, auto c) { return std::pow(x, c.a); },
      [](auto x, auto dy, auto c) { return c.a == 0 ? decltype(x)(0) : dy * c.a * std::pow(x, c.a - 1); });
}

}  // namespace sslcake::inline v0::ops
