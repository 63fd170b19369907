// How elementwise ops are made (internal). An op is a name, two small functions and what its gradient needs to see:
//
//   Tensor tanh(const Tensor& x) {
//     return unary("tanh", x, Keep::output, {}, [](auto x, auto) { return std::tanh(x); },
//                  [](auto y, auto dy, auto) { return dy * (1 - y * y); });   // d tanh(x)/dx = 1 − tanh²(x)
//   }
//
// The functions are compiled for float and double only; bfloat16 is widened to float a block at a time. Everything but
// the innermost loop is compiled once: it calls the loops through pointers.
#pragma once

#include <cstdint>

#include "../autograd/tape.hpp"

namespace sslcake::inline v0::ops::detail {

/// Numbers that an op was called with (a slope, a bound), passed to its functions as `c.a` and `c.b` in their type.
struct Constants {
  double a = 0, b = 0;
};
template <class T>
struct ConstantsOf {
  T a, b;
};

/// What the gradient function sees as its first argument: the op's input or its result.
enum class Keep { nothing, input, output };

/// Fails unless `x` is defined and float32, float64 or bfloat16.
void check_floating(const char* op, const Tensor& x);
/// Fails unless `x` is defined and float32 or float64.
void check_real(const char* op, const Tensor& x);
/// Fails unless both are defined and of one floating-point type.
void check_same_type(const char* op, const Tensor& a, const Tensor& b);

// --- one tensor ------------------------------------------------------------------------------------------------
template <class T> using UnaryValue = void (*)(const T* x, T* y, std::int64_t n, Constants c);
template <class T> using UnaryGradient = void (*)(const T* kept, const T* dy, T* dx, std::int64_t n, Constants c);
struct UnaryLoops {
  UnaryValue<float> value32;
  UnaryValue<double> value64;
  UnaryGradient<float> gradient32;
  UnaryGradient<double> gradient64;
};
Tensor unary_op(const char* op, const Tensor& x, Keep keep, Constants c, const UnaryLoops& loops);

template <class Value, class T>
void unary_value(const T* __restrict x, T* __restrict y, std::int64_t n, Constants c) {
  const ConstantsOf<T> k{static_cast<T>(c.a), static_cast<T>(c.b)};
  for (std::int64_t i = 0; i < n; ++i) y[i] = Value{}(x[i], k);
}
template <class Gradient, class T>
void unary_gradient(const T* __restrict kept, const T* __restrict dy, T* __restrict dx, std::int64_t n, Constants c) {
  const ConstantsOf<T> k{static_cast<T>(c.a), static_cast<T>(c.b)};
  for (std::int64_t i = 0; i < n; ++i) dx[i] = Gradient{}(kept[i], dy[i], k);
}

/// y = value(x, c); dL/dx = gradient(kept, dL/dy, c), where kept is x or y as `keep` says. Captureless lambdas only.
template <class Value, class Gradient>
Tensor unary(const char* op, const Tensor& x, Keep keep, Constants c, Value, Gradient) {
  static constexpr UnaryLoops loops{unary_value<Value, float>, unary_value<Value, double>, unary_gradient<Gradient, float>,
                                    unary_gradient<Gradient, double>};
  return unary_op(op, x, keep, c, loops);
}

// --- two tensors of one shape (losses) -------------------------------------------------------------------------
template <class T> using PairValue = void (*)(const T* x, const T* t, T* y, std::int64_t n, Constants c);
/// Overwrites dx with dL/dx, or with dL/dt in the second pointer of PairLoops.
template <class T> using PairGradient = void (*)(const T* x, const T* t, const T* dy, T* dx, std::int64_t n, Constants c);
struct PairLoops {
  PairValue<float> value32;
  PairValue<double> value64;
  PairGradient<float> gradient32[2];
  PairGradient<double> gradient64[2];
};
Tensor pair_op(const char* op, const Tensor& x, const Tensor& t, Constants c, const PairLoops& loops);

template <class Value, class T>
void pair_value(const T* __restrict x, const T* __restrict t, T* __restrict y, std::int64_t n, Constants c) {
  const ConstantsOf<T> k{static_cast<T>(c.a), static_cast<T>(c.b)};
  for (std::int64_t i = 0; i < n; ++i) y[i] = Value{}(x[i], t[i], k);
}
template <class Slope, class T>
void pair_gradient(const T* __restrict x, const T* __restrict t, const T* __restrict dy, T* __restrict dx, std::int64_t n,
                   Constants c) {
  const ConstantsOf<T> k{static_cast<T>(c.a), static_cast<T>(c.b)};
  for (std::int64_t i = 0; i < n; ++i) dx[i] = dy[i] * Slope{}(x[i], t[i], k);
}

/// y = value(x, t, c) with partial derivatives slope_x(x, t, c) and slope_t(x, t, c). float32 and float64.
template <class Value, class SlopeX, class SlopeT>
Tensor pair(const char* op, const Tensor& x, const Tensor& t, Constants c, Value, SlopeX, SlopeT) {
  static constexpr PairLoops loops{pair_value<Value, float>, pair_value<Value, double>,
                                   {pair_gradient<SlopeX, float>, pair_gradient<SlopeT, float>},
                                   {pair_gradient<SlopeX, double>, pair_gradient<SlopeT, double>}};
  return pair_op(op, x, t, c, loops);
}

}  // namespace sslcake::inline v0::ops::detail

#ifndef SSLCAKE_COMPILED
#include "elementwise_inl.hpp"
#endif
