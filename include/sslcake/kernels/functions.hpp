// The elementwise functions and their derivatives, each once for all devices: the CPU's loops (ops/elementwise.hpp) and the
// kernels of the CUDA backend (cuda/elementwise.cu) are templates over these structs. Plain numbers: float or double.
//
// In each, x is the input, y the result, dy the gradient of the loss with respect to y, `kept` x or y as `keep` says, and
// c.a, c.b the op's constants in the same type.
#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>

#include "../core/config.hpp"

#if defined(__CUDACC__)
#define SSLCAKE_ANY_DEVICE __host__ __device__
#else
#define SSLCAKE_ANY_DEVICE
#endif

namespace sslcake::inline v0::kernels::functions {

/// Numbers that an op was called with (a slope, a bound).
struct Constants {
  double a = 0, b = 0;
};
template <class T>
struct ConstantsOf {
  T a, b;
};

/// What the gradient sees as its first argument: the op's input or its result.
enum class Keep { nothing, input, output };

/// 1 / (1 + e⁻ˣ) by e^−|x|, which cannot overflow.
template <class T>
SSLCAKE_ANY_DEVICE T logistic(T x) {
  const T e = std::exp(-std::abs(x));
  return x >= 0 ? 1 / (1 + e) : e / (1 + e);
}
/// log(1 + eˣ).
template <class T>
SSLCAKE_ANY_DEVICE T log1p_exp(T x) {
  return (x > 0 ? x : T(0)) + std::log1p(std::exp(-std::abs(x)));
}
/// Φ(x), the normal distribution function; by erfc, which loses no digits in the lower tail.
template <class T>
SSLCAKE_ANY_DEVICE T normal_cdf(T x) {
  return T(0.5) * std::erfc(-x * (std::numbers::sqrt2_v<T> / 2));
}

#define SSLCAKE_FUNCTION template <class T> static SSLCAKE_ANY_DEVICE T

// --- one tensor: value(x, c) and gradient(kept, dy, c) ---------------------------------------------------------------

// max(0,x); written so that NaN stays NaN.
struct Relu {
  static constexpr Keep keep = Keep::output;
  SSLCAKE_FUNCTION value(T x, ConstantsOf<T>) { return x < 0 ? T(0) : x; }
  SSLCAKE_FUNCTION gradient(T y, T dy, ConstantsOf<T>) { return y <= 0 ? T(0) : dy; }
};
struct LeakyRelu {
  static constexpr Keep keep = Keep::input;
  SSLCAKE_FUNCTION value(T x, ConstantsOf<T> c) { return x > 0 ? x : c.a * x; }
  SSLCAKE_FUNCTION gradient(T x, T dy, ConstantsOf<T> c) { return x > 0 ? dy : c.a * dy; }
};
// d/dx alpha (eˣ − 1) = alpha eˣ = y + alpha, but y + alpha loses digits where y ≈ −alpha, so from x.
struct Elu {
  static constexpr Keep keep = Keep::input;
  SSLCAKE_FUNCTION value(T x, ConstantsOf<T> c) { return x > 0 ? x : c.a * std::expm1(x); }
  SSLCAKE_FUNCTION gradient(T x, T dy, ConstantsOf<T> c) { return x > 0 ? dy : dy * c.a * std::exp(x); }
};
// d/dx x Φ(x) = Φ(x) + x φ(x), φ the normal density. float32 has vector code of its own on the CPU (gelu.hpp).
struct Gelu {
  static constexpr Keep keep = Keep::input;
  SSLCAKE_FUNCTION value(T x, ConstantsOf<T>) { return x * normal_cdf(x); }
  SSLCAKE_FUNCTION gradient(T x, T dy, ConstantsOf<T>) {
    const T scale = std::numbers::inv_sqrtpi_v<T> * (std::numbers::sqrt2_v<T> / 2);
    return dy * (normal_cdf(x) + x * scale * std::exp(T(-0.5) * x * x));
  }
};
// d/dx x σ(x) = σ(x) (1 + x (1 − σ(x))).
struct Silu {
  static constexpr Keep keep = Keep::input;
  SSLCAKE_FUNCTION value(T x, ConstantsOf<T>) { return x * logistic(x); }
  SSLCAKE_FUNCTION gradient(T x, T dy, ConstantsOf<T>) {
    const T s = logistic(x);
    return dy * s * (1 + x * (1 - s));
  }
};
struct Tanh {
  static constexpr Keep keep = Keep::output;
  SSLCAKE_FUNCTION value(T x, ConstantsOf<T>) { return std::tanh(x); }
  SSLCAKE_FUNCTION gradient(T y, T dy, ConstantsOf<T>) { return dy * (1 - y * y); }
};
struct Sigmoid {
  static constexpr Keep keep = Keep::output;
  SSLCAKE_FUNCTION value(T x, ConstantsOf<T>) { return logistic(x); }
  SSLCAKE_FUNCTION gradient(T y, T dy, ConstantsOf<T>) { return dy * y * (1 - y); }
};
// log(1 + e^{a x}) / a.
struct Softplus {
  static constexpr Keep keep = Keep::input;
  SSLCAKE_FUNCTION value(T x, ConstantsOf<T> c) { return log1p_exp(c.a * x) / c.a; }
  SSLCAKE_FUNCTION gradient(T x, T dy, ConstantsOf<T> c) { return dy * logistic(c.a * x); }
};
struct Exp {
  static constexpr Keep keep = Keep::output;
  SSLCAKE_FUNCTION value(T x, ConstantsOf<T>) { return std::exp(x); }
  SSLCAKE_FUNCTION gradient(T y, T dy, ConstantsOf<T>) { return dy * y; }
};
struct Log {
  static constexpr Keep keep = Keep::input;
  SSLCAKE_FUNCTION value(T x, ConstantsOf<T>) { return std::log(x); }
  SSLCAKE_FUNCTION gradient(T x, T dy, ConstantsOf<T>) { return dy / x; }
};
struct Sqrt {
  static constexpr Keep keep = Keep::output;
  SSLCAKE_FUNCTION value(T x, ConstantsOf<T>) { return std::sqrt(x); }
  SSLCAKE_FUNCTION gradient(T y, T dy, ConstantsOf<T>) { return dy / (2 * y); }
};
struct Abs {
  static constexpr Keep keep = Keep::input;
  SSLCAKE_FUNCTION value(T x, ConstantsOf<T>) { return std::abs(x); }
  SSLCAKE_FUNCTION gradient(T x, T dy, ConstantsOf<T>) { return x > 0 ? dy : x < 0 ? -dy : T(0); }
};
struct Clamp {
  static constexpr Keep keep = Keep::input;
  SSLCAKE_FUNCTION value(T x, ConstantsOf<T> c) { return x < c.a ? c.a : x > c.b ? c.b : x; }
  SSLCAKE_FUNCTION gradient(T x, T dy, ConstantsOf<T> c) { return x >= c.a && x <= c.b ? dy : T(0); }
};
struct Square {
  static constexpr Keep keep = Keep::input;
  SSLCAKE_FUNCTION value(T x, ConstantsOf<T>) { return x * x; }
  SSLCAKE_FUNCTION gradient(T x, T dy, ConstantsOf<T>) { return 2 * x * dy; }
};
struct Pow {
  static constexpr Keep keep = Keep::input;
  SSLCAKE_FUNCTION value(T x, ConstantsOf<T> c) { return std::pow(x, c.a); }
  SSLCAKE_FUNCTION gradient(T x, T dy, ConstantsOf<T> c) { return c.a == 0 ? T(0) : dy * c.a * std::pow(x, c.a - 1); }
};
// With a number: x + a, x a, x / a, a − x, a / x. d (a / x)/dx = −a / x².
struct AddNumber {
  static constexpr Keep keep = Keep::nothing;
  SSLCAKE_FUNCTION value(T x, ConstantsOf<T> c) { return x + c.a; }
  SSLCAKE_FUNCTION gradient(T, T dy, ConstantsOf<T>) { return dy; }
};
struct MulNumber {
  static constexpr Keep keep = Keep::nothing;
  SSLCAKE_FUNCTION value(T x, ConstantsOf<T> c) { return x * c.a; }
  SSLCAKE_FUNCTION gradient(T, T dy, ConstantsOf<T> c) { return dy * c.a; }
};
struct DivNumber {
  static constexpr Keep keep = Keep::nothing;
  SSLCAKE_FUNCTION value(T x, ConstantsOf<T> c) { return x / c.a; }
  SSLCAKE_FUNCTION gradient(T, T dy, ConstantsOf<T> c) { return dy / c.a; }
};
struct NumberSub {
  static constexpr Keep keep = Keep::nothing;
  SSLCAKE_FUNCTION value(T x, ConstantsOf<T> c) { return c.a - x; }
  SSLCAKE_FUNCTION gradient(T, T dy, ConstantsOf<T>) { return -dy; }
};
struct NumberDiv {
  static constexpr Keep keep = Keep::input;
  SSLCAKE_FUNCTION value(T x, ConstantsOf<T> c) { return c.a / x; }
  SSLCAKE_FUNCTION gradient(T x, T dy, ConstantsOf<T> c) { return -dy * c.a / (x * x); }
};
struct Neg {
  static constexpr Keep keep = Keep::nothing;
  SSLCAKE_FUNCTION value(T x, ConstantsOf<T>) { return -x; }
  SSLCAKE_FUNCTION gradient(T, T dy, ConstantsOf<T>) { return -dy; }
};

// --- losses: value(x, t, c) of an input x and a target t, and the partial derivatives slope_x and slope_t -------------

struct SquaredError {
  SSLCAKE_FUNCTION value(T x, T t, ConstantsOf<T>) { return (x - t) * (x - t); }
  SSLCAKE_FUNCTION slope_x(T x, T t, ConstantsOf<T>) { return 2 * (x - t); }
  SSLCAKE_FUNCTION slope_t(T x, T t, ConstantsOf<T>) { return 2 * (t - x); }
};
struct AbsoluteError {
  SSLCAKE_FUNCTION value(T x, T t, ConstantsOf<T>) { return std::abs(x - t); }
  SSLCAKE_FUNCTION slope_x(T x, T t, ConstantsOf<T>) { return T((x > t) - (x < t)); }
  SSLCAKE_FUNCTION slope_t(T x, T t, ConstantsOf<T>) { return T((t > x) - (t < x)); }
};
// d²/2 where d = |x − t| <= a, else a (d − a/2).
struct Huber {
  SSLCAKE_FUNCTION value(T x, T t, ConstantsOf<T> c) {
    const T d = std::abs(x - t);
    return d <= c.a ? d * d / 2 : c.a * (d - c.a / 2);
  }
  SSLCAKE_FUNCTION slope_x(T x, T t, ConstantsOf<T> c) { return clamped(x - t, c.a); }
  SSLCAKE_FUNCTION slope_t(T x, T t, ConstantsOf<T> c) { return clamped(t - x, c.a); }

 private:
  SSLCAKE_FUNCTION clamped(T d, T most) { return d < -most ? -most : most < d ? most : d; }
};
// −log σ(x) = log(1 + e⁻ˣ) and −log(1 − σ(x)) = log(1 + eˣ), neither of which overflows or cancels; w = a weights the positives.
// d/dx: (1 − t) σ(x) − w t σ(−x);  d/dt: w log(1 + e⁻ˣ) − log(1 + eˣ).
struct BinaryCrossEntropy {
  SSLCAKE_FUNCTION value(T x, T t, ConstantsOf<T> c) { return c.a * t * log1p_exp(-x) + (1 - t) * log1p_exp(x); }
  SSLCAKE_FUNCTION slope_x(T x, T t, ConstantsOf<T> c) { return (1 - t) * logistic(x) - c.a * t * logistic(-x); }
  SSLCAKE_FUNCTION slope_t(T x, T, ConstantsOf<T> c) { return c.a * log1p_exp(-x) - log1p_exp(x); }
};
// t (log t − x), and t log t → 0 as t → 0.   d/dx: −t;  d/dt: log t + 1 − x.
struct KlDivergence {
  SSLCAKE_FUNCTION value(T x, T t, ConstantsOf<T>) { return t == 0 ? -t * x : t * (std::log(t) - x); }
  SSLCAKE_FUNCTION slope_x(T, T t, ConstantsOf<T>) { return -t; }
  SSLCAKE_FUNCTION slope_t(T x, T t, ConstantsOf<T>) { return t == 0 ? T(0) : std::log(t) + 1 - x; }
};
// The same with t = eᵘ:  d/dx: −eᵘ;  d/du: eᵘ (u − x + 1).
struct KlDivergenceOfLog {
  SSLCAKE_FUNCTION value(T x, T u, ConstantsOf<T>) { return std::exp(u) * (u - x); }
  SSLCAKE_FUNCTION slope_x(T, T u, ConstantsOf<T>) { return -std::exp(u); }
  SSLCAKE_FUNCTION slope_t(T x, T u, ConstantsOf<T>) { return std::exp(u) * (u - x + 1); }
};

// --- two numbers, the same broadcast (ops/broadcast.hpp; in the order of its enum Arithmetic) --------------------------
struct Add { SSLCAKE_FUNCTION value(T a, T b) { return a + b; } };
struct Sub { SSLCAKE_FUNCTION value(T a, T b) { return a - b; } };
struct Mul { SSLCAKE_FUNCTION value(T a, T b) { return a * b; } };
struct Div { SSLCAKE_FUNCTION value(T a, T b) { return a / b; } };
struct Equal { SSLCAKE_FUNCTION value(T a, T b) { return a == b ? T(1) : T(0); } };

#undef SSLCAKE_FUNCTION

// --- numbers for the functions, by which a table of kernels is indexed -------------------------------------------------
template <class... F>
struct List {
  static constexpr int size = sizeof...(F);
};
using Unary = List<Relu, LeakyRelu, Elu, Gelu, Silu, Tanh, Sigmoid, Softplus, Exp, Log, Sqrt, Abs, Clamp, Square, Pow, AddNumber,
                   MulNumber, DivNumber, NumberSub, NumberDiv, Neg>;
using Pair = List<SquaredError, AbsoluteError, Huber, BinaryCrossEntropy, KlDivergence, KlDivergenceOfLog>;
using Arithmetic = List<Add, Sub, Mul, Div, Equal>;

template <class Wanted, class All>
inline constexpr int id_in = -1;
template <class Wanted, class... Rest>
inline constexpr int id_in<Wanted, List<Wanted, Rest...>> = 0;
template <class Wanted, class First, class... Rest>
inline constexpr int id_in<Wanted, List<First, Rest...>> = 1 + id_in<Wanted, List<Rest...>>;

}  // namespace sslcake::inline v0::kernels::functions
