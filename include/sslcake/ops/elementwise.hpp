// How elementwise ops are made (internal). An op is a name and a function with its derivative (kernels/functions.hpp):
//
//   Tensor tanh(const Tensor& x) { return unary<Tanh>("tanh", x); }
//
// On the CPU the functions are compiled for float and double only; bfloat16 is widened to float a block at a time.
// Everything but the innermost loop is compiled once: it calls the loops through pointers. On CUDA the function is known by
// its number.
#pragma once

#include <cstdint>

#include "../autograd/tape.hpp"
#include "../kernels/functions.hpp"

namespace sslcake::inline v0::ops::detail {

using kernels::functions::Constants;
using kernels::functions::ConstantsOf;
using kernels::functions::Keep;

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
  int id;  // in functions::Unary
};
Tensor unary_op(const char* op, const Tensor& x, Keep keep, Constants c, const UnaryLoops& loops);

template <class F, class T>
void unary_value(const T* __restrict x, T* __restrict y, std::int64_t n, Constants c) {
  const ConstantsOf<T> k{static_cast<T>(c.a), static_cast<T>(c.b)};
  for (std::int64_t i = 0; i < n; ++i) y[i] = F::value(x[i], k);
}
template <class F, class T>
void unary_gradient(const T* __restrict kept, const T* __restrict dy, T* __restrict dx, std::int64_t n, Constants c) {
  const ConstantsOf<T> k{static_cast<T>(c.a), static_cast<T>(c.b)};
  for (std::int64_t i = 0; i < n; ++i) dx[i] = F::gradient(kept[i], dy[i], k);
}

/// y = F::value(x, c); dL/dx = F::gradient(kept, dL/dy, c), where kept is x or y as F::keep says.
template <class F>
Tensor unary(const char* op, const Tensor& x, Constants c = {}) {
  static constexpr UnaryLoops loops{unary_value<F, float>, unary_value<F, double>, unary_gradient<F, float>,
                                    unary_gradient<F, double>, kernels::functions::id_in<F, kernels::functions::Unary>};
  return unary_op(op, x, F::keep, c, loops);
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
  int id;  // in functions::Pair
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

// F's functions as the objects that these loops call.
template <class F>
struct ValueOf {
  template <class T> T operator()(T x, T t, ConstantsOf<T> c) const { return F::value(x, t, c); }
};
template <class F>
struct SlopeX {
  template <class T> T operator()(T x, T t, ConstantsOf<T> c) const { return F::slope_x(x, t, c); }
};
template <class F>
struct SlopeT {
  template <class T> T operator()(T x, T t, ConstantsOf<T> c) const { return F::slope_t(x, t, c); }
};

/// y = F::value(x, t, c) with F::slope_x and F::slope_t of functions.hpp, on any device. float32 and float64.
template <class F>
Tensor pair(const char* op, const Tensor& x, const Tensor& t, Constants c = {}) {
  static constexpr PairLoops loops{pair_value<ValueOf<F>, float>, pair_value<ValueOf<F>, double>,
                                   {pair_gradient<SlopeX<F>, float>, pair_gradient<SlopeT<F>, float>},
                                   {pair_gradient<SlopeX<F>, double>, pair_gradient<SlopeT<F>, double>},
                                   kernels::functions::id_in<F, kernels::functions::Pair>};
  return pair_op(op, x, t, c, loops);
}

}  // namespace sslcake::inline v0::ops::detail

#ifndef SSLCAKE_COMPILED
#include "elementwise_inl.hpp"
#endif
