#pragma once

#include <algorithm>
#include <cmath>

#include "arithmetic.hpp"
#include "broadcast.hpp"
#include "elementwise.hpp"
#include "loops.hpp"
#include "losses.hpp"
#include "reduce.hpp"
#include "shape_ops.hpp"

namespace sslcake::inline v0::ops {
namespace detail {

/// Losses are computed in float32 at least.
inline Tensor at_least_float32(const char* op, const Tensor& x) {
  check_floating(op, x);
  return x.dtype() == DType::bfloat16 ? cast(x, DType::float32) : x;
}

inline Tensor reduced(const char* op, const Tensor& losses, Reduction reduction) {
  switch (reduction) {
    case Reduction::mean: return mean(losses);
    case Reduction::sum: return sum(losses);
    case Reduction::batch_mean:
      if (losses.rank() == 0) fail(op, "expected a batch dimension for batch_mean, got a scalar");
      return div(sum(losses), static_cast<double>(losses.dim(0)));
    default: return losses;
  }
}

/// Everything cross_entropy needs to know about its rows.
struct CrossEntropyRows {
  std::int64_t rows, classes;
  double smoothing;
  std::int64_t ignored;
  bool weighted;

  /// −(1 − s)·w_t·log p_t − (s/C)·Σ_c w_c·log p_c for one row of logits.
  template <class T>
  T loss(const T* x, std::int64_t target, const T* weights) const {
    const T top = largest_of(x, classes, 1);
    T sum = 0;
    for (std::int64_t c = 0; c < classes; ++c) sum += std::exp(x[c] - top);
    const T log_sum = std::log(sum) + top, s = static_cast<T>(smoothing);
    T loss = (1 - s) * (weighted ? weights[target] : T(1)) * (log_sum - x[target]);
    if (s > 0) {
      T all = 0;
      for (std::int64_t c = 0; c < classes; ++c) all += (weighted ? weights[c] : T(1)) * (log_sum - x[c]);
      loss += s / static_cast<T>(classes) * all;
    }
    return loss;
  }

  /// The derivative of that, times `scale`: a·p_c − (1 − s)·w_t·[c = t] − (s/C)·w_c with a the sum of what is subtracted.
  template <class T>
  void gradient(const T* x, std::int64_t target, const T* weights, T scale, T* dx) const {
    const T top = largest_of(x, classes, 1);
    T sum = 0, all_weights = 0;
    for (std::int64_t c = 0; c < classes; ++c) {
      sum += dx[c] = std::exp(x[c] - top);
      all_weights += weighted ? weights[c] : T(1);
    }
    const T s = static_cast<T>(smoothing), spread = s / static_cast<T>(classes),
            on_target = (1 - s) * (weighted ? weights[target] : T(1));
    const T factor = (on_target + spread * all_weights) / sum;
    for (std::int64_t c = 0; c < classes; ++c) dx[c] = scale * (factor * dx[c] - spread * (weighted ? weights[c] : T(1)));
    dx[target] -= scale * on_target;
  }
};

}  // namespace detail

SSLCAKE_INLINE Tensor cross_entropy(const Tensor& logits, const Tensor& target, const CrossEntropyOptions& options) {
  const Tensor x = detail::at_least_float32("cross_entropy", logits);
  if (!target.defined() || target.dtype() != DType::int64)
    fail("cross_entropy", "expected int64 targets, got ", target.defined() ? name_of(target.dtype()) : "an undefined tensor");
  Shape rows_shape;
  for (int i = 0; i + 1 < x.rank(); ++i) rows_shape.push_back(x.dim(i));
  if (x.rank() < 1 || !(target.shape() == rows_shape))
    fail("cross_entropy", "expected logits (...,C) and targets (...), got ", x.shape(), " and ", target.shape());
  if (!(options.label_smoothing >= 0 && options.label_smoothing <= 1))
    fail("cross_entropy", "expected label_smoothing in [0,1], got ", options.label_smoothing);
  const detail::CrossEntropyRows part{rows_shape.numel(), x.dim(-1), options.label_smoothing, options.ignore_index,
                                      options.class_weights.defined()};
  Tensor weights;
  if (part.weighted) {
    detail::check_floating("cross_entropy", options.class_weights);
    if (!(options.class_weights.shape() == Shape{part.classes}))
      fail("cross_entropy", "expected class_weights (", part.classes, "), got ", options.class_weights.shape());
    weights = options.class_weights.to(x.dtype());
  }
  const auto* targets = target.data<std::int64_t>();
  for (std::int64_t r = 0; r < part.rows; ++r)
    if (targets[r] != part.ignored && (targets[r] < 0 || targets[r] >= part.classes))
      fail("cross_entropy", "expected targets in [0,", part.classes, ") or ", part.ignored, ", got ", targets[r], " in row ", r);

  Tensor losses(rows_shape, x.dtype());
  double divisor = 1;
  dispatch_real(x.dtype(), "cross_entropy", [&](auto zero) {
    using T = decltype(zero);
    const T* from = x.data<T>();
    const T* w = part.weighted ? weights.data<T>() : nullptr;
    T* to = losses.mutable_data<T>();
    parallel_for(part.rows, detail::items_per_chunk(part.classes, 1 << 12),
                 [&](std::int64_t begin, std::int64_t end) {
                   for (auto r = begin; r < end; ++r)
                     to[r] = targets[r] == part.ignored ? T(0) : part.loss(from + r * part.classes, targets[r], w);
                 });
    if (options.reduction != Reduction::mean) return;
    divisor = 0;  // the mean is weighted: Σ loss / Σ weight of the rows that count
    for (std::int64_t r = 0; r < part.rows; ++r)
      if (targets[r] != part.ignored) divisor += w ? static_cast<double>(w[targets[r]]) : 1.0;
  });
  losses = autograd::record("cross_entropy", {x}, losses,
                            [sx = autograd::Saved(x), st = autograd::Saved(target), sw = autograd::Saved(weights),
                             part](autograd::Backward& b) {
    Tensor dx = empty_like(sx.get());
    const auto* targets = st.get().data<std::int64_t>();
    dispatch_real(dx.dtype(), "cross_entropy", [&](auto zero) {
      using T = decltype(zero);
      const T *x = sx.get().data<T>(), *dy = b.grad().data<T>();
      const T* w = part.weighted ? sw.get().data<T>() : nullptr;
      T* to = dx.mutable_data<T>();
      parallel_for(part.rows, detail::items_per_chunk(part.classes, 1 << 12),
                   [&](std::int64_t begin, std::int64_t end) {
                     for (auto r = begin; r < end; ++r) {
                       if (targets[r] == part.ignored) std::fill_n(to + r * part.classes, part.classes, T(0));
                       else part.gradient(x + r * part.classes, targets[r], w, dy[r], to + r * part.classes);
                     }
                   });
    });
    b.give(0, dx);
  });
  if (options.reduction == Reduction::mean) return div(sum(losses), divisor);
  return detail::reduced("cross_entropy", losses, options.reduction);
}

SSLCAKE_INLINE Tensor mse_loss(const Tensor& x, const Tensor& target, Reduction reduction) {
  const auto losses = detail::pair(
      "mse_loss", detail::at_least_float32("mse_loss", x), detail::at_least_float32("mse_loss", target), {},
      [](auto x, auto t, auto) { return (x - t) * (x - t); }, [](auto x, auto t, auto) { return 2 * (x - t); },
      [](auto x, auto t, auto) { return 2 * (t - x); });
  return detail::reduced("mse_loss", losses, reduction);
}

SSLCAKE_INLINE Tensor l1_loss(const Tensor& x, const Tensor& target, Reduction reduction) {
  const auto losses = detail::pair(
      "l1_loss", detail::at_least_float32("l1_loss", x), detail::at_least_float32("l1_loss", target), {},
      [](auto x, auto t, auto) { return std::abs(x - t); }, [](auto x, auto t, auto) { return decltype(x)((x > t) - (x < t)); },
      [](auto x, auto t, auto) { return decltype(x)((t > x) - (t < x)); });
  return detail::reduced("l1_loss", losses, reduction);
}

SSLCAKE_INLINE Tensor huber_loss(const Tensor& x, const Tensor& target, double delta, Reduction reduction) {
  if (!(delta > 0)) fail("huber_loss", "expected delta > 0, got ", delta);
  const auto losses = detail::pair(
      "huber_loss", detail::at_least_float32("huber_loss", x), detail::at_least_float32("huber_loss", target), {delta},
      [](auto x, auto t, auto c) {
        const auto d = std::abs(x - t);
        return d <= c.a ? d * d / 2 : c.a * (d - c.a / 2);
      },
      [](auto x, auto t, auto c) { return std::clamp(x - t, -c.a, c.a); },
      [](auto x, auto t, auto c) { return std::clamp(t - x, -c.a, c.a); });
  return detail::reduced("huber_loss", losses, reduction);
}

// −log σ(x) = log(1 + e⁻ˣ) and −log(1 − σ(x)) = log(1 + eˣ), neither of which overflows or cancels.
// d/dx: (1 − t) σ(x) − w t σ(−x);  d/dt: w log(1 + e⁻ˣ) − log(1 + eˣ).
SSLCAKE_INLINE Tensor bce_with_logits(const Tensor& x, const Tensor& target, double positive_weight, Reduction reduction) {
  const auto losses = detail::pair(
      "bce_with_logits", detail::at_least_float32("bce_with_logits", x), detail::at_least_float32("bce_with_logits", target),
      {positive_weight}, [](auto x, auto t, auto c) { return c.a * t * detail::log1p_exp(-x) + (1 - t) * detail::log1p_exp(x); },
      [](auto x, auto t, auto c) { return (1 - t) * detail::logistic(x) - c.a * t * detail::logistic(-x); },
      [](auto x, auto, auto c) { return c.a * detail::log1p_exp(-x) - detail::log1p_exp(x); });
  return detail::reduced("bce_with_logits", losses, reduction);
}

// t log t → 0 as t → 0.   d/dx: −t;  d/dt: log t + 1 − x.  With t = e^u:  d/dx: −e^u;  d/du: e^u (u − x + 1).
SSLCAKE_INLINE Tensor kl_div(const Tensor& x, const Tensor& target, Reduction reduction, bool log_target) {
  const Tensor a = detail::at_least_float32("kl_div", x), b = detail::at_least_float32("kl_div", target);
  const auto losses = log_target
      ? detail::pair("kl_div", a, b, {},
            [](auto x, auto u, auto) { return std::exp(u) * (u - x); },
            [](auto, auto u, auto) { return -std::exp(u); },
            [](auto x, auto u, auto) { return std::exp(u) * (u - x + 1); })
      : detail::pair("kl_div", a, b, {},
            [](auto x, auto t, auto) { return t == 0 ? -t * x : t * (std::log(t) - x); },
            [](auto, auto t, auto) { return -t; },
            [](auto x, auto t, auto) { return t == 0 ? decltype(x)(0) : std::log(t) + 1 - x; });
  return detail::reduced("kl_div", losses, reduction);
}

// y = x/n with n = ‖x‖:  dx = (dy − y Σ dy y)/n.  Where the norm is below eps, n is constant: dx = dy/eps.
SSLCAKE_INLINE Tensor normalize(const Tensor& x, int axis, double eps) {
  detail::check_real("normalize", x);
  if (!(eps > 0)) fail("normalize", "expected eps > 0, got ", eps);
  const auto line = detail::split_at("normalize", x.shape(), axis);
  Tensor y = empty_like(x), norms(Shape{line.outer, line.inner}, x.dtype());
  dispatch_real(x.dtype(), "normalize", [&](auto zero) {
    using T = decltype(zero);
    const T* from = x.data<T>();
    T *to = y.mutable_data<T>(), *norm = norms.mutable_data<T>();
    const auto n = line.extent, step = line.inner;
    const T least = static_cast<T>(eps);
    detail::for_each_line(line, [=](std::int64_t start, std::int64_t l) {
      double sum = 0;  // the square of a float neither over- nor underflows here
      for (std::int64_t i = 0; i < n; ++i)
        sum += static_cast<double>(from[start + i * step]) * static_cast<double>(from[start + i * step]);
      const T length = static_cast<T>(std::sqrt(sum)), divisor = length < least ? least : length;
      norm[l] = length;
      for (std::int64_t i = 0; i < n; ++i) to[start + i * step] = from[start + i * step] / divisor;
    });
  });
  return autograd::record("normalize", {x}, y, [sy = autograd::Saved(y), norms, line, eps](autograd::Backward& b) {
    Tensor dx = empty_like(b.grad());
    dispatch_real(dx.dtype(), "normalize", [&](auto zero) {
      using T = decltype(zero);
      const T *y = sy.get().data<T>(), *dy = b.grad().data<T>(), *norm = norms.data<T>();
      T* to = dx.mutable_data<T>();
      const auto n = line.extent, step = line.inner;
      const T least = static_cast<T>(eps);
      detail::for_each_line(line, [=](std::int64_t start, std::int64_t l) {
        const T length = norm[l];
        double dot = 0;
        if (length >= least)
          for (std::int64_t i = 0; i < n; ++i)
            dot += static_cast<double>(dy[start + i * step]) * static_cast<double>(y[start + i * step]);
        const T along = static_cast<T>(dot), divisor = length < least ? least : length;
        for (std::int64_t i = 0; i < n; ++i)
          to[start + i * step] = (dy[start + i * step] - y[start + i * step] * along) / divisor;
      });
    });
    b.give(0, dx);
  });
}

SSLCAKE_INLINE Tensor cosine_similarity(const Tensor& a, const Tensor& b, int axis, double eps) {
  const Tensor x = detail::at_least_float32("cosine_similarity", a), y = detail::at_least_float32("cosine_similarity", b);
  detail::check_same_type("cosine_similarity", x, y);
  const Shape shape = detail::broadcast("cosine_similarity", x.shape(), y.shape()).shape;
  axis = shape.axis(axis, "cosine_similarity") - shape.rank();  // counted from the back it is the same one of all three shapes
  // Lengths are those of the repeated vectors. What is repeated along other axes only is normalised before, while it is small.
  const auto unit = [&](const Tensor& t) {
    const bool whole = -axis <= t.rank() && t.dim(axis) == shape[axis];
    return normalize(whole ? t : add(t, zeros(shape, t.dtype())), axis, eps);
  };
  return sum(mul(unit(x), unit(y)), {axis});
}

}  // namespace sslcake::inline v0::ops
