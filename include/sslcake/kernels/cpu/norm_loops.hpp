// The inner loops of kernels/norm.hpp, one text for all instruction sets. A step says what happens to one run of
// neighbouring channels in R rows; `sweep` visits all runs. V is a vector type of the compiler (GCC and Clang:
// element-wise operators, comparisons, ?:) as wide as the instruction set's registers, or T itself for what is left
// over at the end of a row. Everything is always-inline, so that it takes the instruction set of its caller.
#pragma once

#include <cstdint>

#include "../../core/config.hpp"
#include "../norm.hpp"
#include "bfloat_vectors.hpp"

namespace sslcake::inline v0::kernels::norm_loops {

/// Four rows at a time where possible: constants and running sums are loaded once for them.
template <int Bytes, class T, class Step>
SSLCAKE_ALWAYS_INLINE void sweep(std::int64_t rows, std::int64_t width, const Step& step) {
  using V = typename VectorOf<T, Bytes>::type;
  constexpr std::int64_t lanes = Bytes / static_cast<int>(sizeof(T));
  std::int64_t r = 0;
  for (; r + 4 <= rows; r += 4) {
    std::int64_t c = 0;
    for (; c + lanes <= width; c += lanes) step.template at<V, 4>(r * width + c, c);
    for (; c < width; ++c) step.template at<T, 4>(r * width + c, c);
  }
  for (; r < rows; ++r) {
    std::int64_t c = 0;
    for (; c + lanes <= width; c += lanes) step.template at<V, 1>(r * width + c, c);
    for (; c < width; ++c) step.template at<T, 1>(r * width + c, c);
  }
}

/// sum += x - origin, square += (x - origin)². S is how pictures are stored, T what is computed in; so below.
template <class S, class T = compute_t<S>>
struct Moments {
  std::int64_t width;
  const S* x;
  const T* origin;
  T *sum, *square;

  template <class V, int R>
  SSLCAKE_ALWAYS_INLINE void at(std::int64_t i, std::int64_t c) const {
    V o, s, q, v;
    load(o, origin + c);
    load(s, sum + c);
    load(q, square + c);
    for (int r = 0; r < R; ++r) {
      load(v, x + i + r * width);
      v -= o;
      s += v;
      q += v * v;
    }
    store(s, sum + c);
    store(q, square + c);
  }
};

/// y = x·scale + shift (+ residual), then max(0, ·). NaN stays NaN.
template <class S, bool relu, bool with_residual, class T = compute_t<S>>
struct Affine {
  std::int64_t width;
  const S* x;
  const T *scale, *shift;
  const S* residual;
  S* y;

  template <class V, int R>
  SSLCAKE_ALWAYS_INLINE void at(std::int64_t i, std::int64_t c) const {
    V a, b, v, more;
    load(a, scale + c);
    load(b, shift + c);
    for (int r = 0; r < R; ++r) {
      load(v, x + i + r * width);
      v = v * a + b;
      if constexpr (with_residual) {
        load(more, residual + i + r * width);
        v += more;
      }
      if constexpr (relu) v = v < V{} ? V{} : v;
      store(v, y + i + r * width);
    }
  }
};

/// Turns dy into the gradient behind the ReLU.
enum class MaskBy { none, result, recomputing };
template <MaskBy by, class V, class S>
SSLCAKE_ALWAYS_INLINE void mask_gradient(V& g, const V& x, const V& scale, const V& shift, const S* result) {
  if constexpr (by == MaskBy::result) {
    V y;
    load(y, result);
    g = y > V{} ? g : V{};
  } else if constexpr (by == MaskBy::recomputing) {
    const V y = x * scale + shift;
    g = y > V{} ? g : V{};
  }
}

/// sum += g, product += g·(x - mean).
template <class S, MaskBy by, class T = compute_t<S>>
struct GradSums {
  std::int64_t width;
  const S *dy, *x;
  const T* mean;
  ReluMask<S> mask;
  S* masked;
  T *sum, *product;

  template <class V, int R>
  SSLCAKE_ALWAYS_INLINE void at(std::int64_t i, std::int64_t c) const {
    V m, s, p, g, v, a{}, b{};
    load(m, mean + c);
    load(s, sum + c);
    load(p, product + c);
    if constexpr (by == MaskBy::recomputing) {
      load(a, mask.scale + c);
      load(b, mask.shift + c);
    }
    for (int r = 0; r < R; ++r) {
      const std::int64_t j = i + r * width;
      load(g, dy + j);
      load(v, x + j);
      mask_gradient<by>(g, v, a, b, by == MaskBy::result ? mask.result + j : nullptr);
      if constexpr (by == MaskBy::result) store(g, masked + j);
      s += g;
      p += g * (v - m);
    }
    store(s, sum + c);
    store(p, product + c);
  }
};

/// dx = a·g + b·(x - mean) + d.
template <class S, MaskBy by, class T = compute_t<S>>
struct GradApply {
  std::int64_t width;
  const S *dy, *x;
  const T* mean;
  ReluMask<S> mask;
  const T *a, *b, *d;
  S* dx;

  template <class V, int R>
  SSLCAKE_ALWAYS_INLINE void at(std::int64_t i, std::int64_t c) const {
    V m, ka, kb, kd, g, v, scale{}, shift{};
    load(m, mean + c);
    load(ka, a + c);
    load(kb, b + c);
    load(kd, d + c);
    if constexpr (by == MaskBy::recomputing) {
      load(scale, mask.scale + c);
      load(shift, mask.shift + c);
    }
    for (int r = 0; r < R; ++r) {
      const std::int64_t j = i + r * width;
      load(g, dy + j);
      load(v, x + j);
      mask_gradient<by>(g, v, scale, shift, mask.result);
      g = ka * g + (kb * (v - m) + kd);
      store(g, dx + j);
    }
  }
};

}  // namespace sslcake::inline v0::kernels::norm_loops
