#pragma once

#include <algorithm>
#include <cmath>

#include "arithmetic.hpp"
#include "broadcast.hpp"
#include "elementwise.hpp"
#include "loops.hpp"
#include "losses.hpp"
#include "on_device.hpp"
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

  kernels::cuda::CrossEntropyRows for_cuda() const { return {rows, classes, static_cast<float>(smoothing), ignored}; }

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

/// What a mean over the rows divides by: Σ of the weights of those that count. On CUDA it stays there, a tensor of one element.
inline Tensor cross_entropy_divisor(const CrossEntropyRows& part, const Tensor& target, const Tensor& weights,
                                    const Tensor& like) {
  if (on_cuda("cross_entropy", like)) {
    Tensor divisor(Shape{}, DType::float32, like.device());
    kernels::cuda::table().losses.cross_entropy_divisor(part.for_cuda(), static_cast<const std::int64_t*>(target.address()),
                                                        static_cast<const float*>(weights.address()),
                                                        static_cast<float*>(divisor.mutable_address()));
    return divisor;
  }
  double divisor = 0;
  const auto* targets = target.data<std::int64_t>();
  dispatch_real(like.dtype(), "cross_entropy", [&](auto zero) {
    using T = decltype(zero);
    const T* w = part.weighted ? weights.data<T>() : nullptr;
    for (std::int64_t r = 0; r < part.rows; ++r)
      if (targets[r] != part.ignored) divisor += w ? static_cast<double>(w[targets[r]]) : 1.0;
  });
  return scalar(divisor, like.dtype());
}

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
    weights = options.class_weights.to(x.dtype()).to(x.device());
  }
  Tensor losses(rows_shape, x.dtype(), x.device());
  if (detail::on_cuda("cross_entropy", x, target, weights)) {  // a target out of range gives a loss of NaN
    detail::expect_float32_on_cuda("cross_entropy", x);
    kernels::cuda::table().losses.cross_entropy(part.for_cuda(), static_cast<const float*>(x.address()),
                                                static_cast<const std::int64_t*>(target.address()),
                                                static_cast<const float*>(weights.address()),
                                                static_cast<float*>(losses.mutable_address()));
  } else dispatch_real(x.dtype(), "cross_entropy", [&](auto zero) {
    using T = decltype(zero);
    const auto* targets = target.data<std::int64_t>();
    for (std::int64_t r = 0; r < part.rows; ++r)
      if (targets[r] != part.ignored && (targets[r] < 0 || targets[r] >= part.classes))
        fail("cross_entropy", "expected targets in [0,", part.classes, ") or ", part.ignored, ", got ", targets[r], " in row ",
             r);
    const T* from = x.data<T>();
    const T* w = part.weighted ? weights.data<T>() : nullptr;
    T* to = losses.mutable_data<T>();
    parallel_for(part.rows, detail::items_per_chunk(part.classes, 1 << 12),
                 [&](std::int64_t begin, std::int64_t end) {
                   for (auto r = begin; r < end; ++r)
                     to[r] = targets[r] == part.ignored ? T(0) : part.loss(from + r * part.classes, targets[r], w);
                 });
  });
  losses = autograd::record("cross_entropy", {x}, losses,
                            [sx = autograd::Saved(x), st = autograd::Saved(target), sw = autograd::Saved(weights),
                             part](autograd::Backward& b) {
    Tensor dx = empty_like(sx.get());
    if (detail::on_cuda("cross_entropy", dx, b.grad())) {
      kernels::cuda::table().losses.cross_entropy_grad(
          part.for_cuda(), static_cast<const float*>(sx.get().address()), static_cast<const std::int64_t*>(st.get().address()),
          static_cast<const float*>(part.weighted ? sw.get().address() : nullptr), static_cast<const float*>(b.grad().address()),
          static_cast<float*>(dx.mutable_address()));
    } else dispatch_real(dx.dtype(), "cross_entropy", [&](auto zero) {
      using T = decltype(zero);
      const auto* targets = st.get().data<std::int64_t>();
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
  // The mean is weighted: Σ loss / Σ weight of the rows that count.
  if (options.reduction == Reduction::mean) return div(sum(losses), detail::cross_entropy_divisor(part, target, weights, x));
  return detail::reduced("cross_entropy", losses, options.reduction);
}

SSLCAKE_INLINE Tensor mse_loss(const Tensor& x, const Tensor& target, Reduction reduction) {
  const auto losses = detail::pair<kernels::functions::SquaredError>("mse_loss", detail::at_least_float32("mse_loss", x),
                                                                     detail::at_least_float32("mse_loss", target));
  return detail::reduced("mse_loss", losses, reduction);
}

SSLCAKE_INLINE Tensor l1_loss(const Tensor& x, const Tensor& target, Reduction reduction) {
  const auto losses = detail::pair<kernels::functions::AbsoluteError>("l1_loss", detail::at_least_float32("l1_loss", x),
                                                                      detail::at_least_float32("l1_loss", target));
  return detail::reduced("l1_loss", losses, reduction);
}

SSLCAKE_INLINE Tensor huber_loss(const Tensor& x, const Tensor& target, double delta, Reduction reduction) {
  if (!(delta > 0)) fail("huber_loss", "expected delta > 0, got ", delta);
  const auto losses = detail::pair<kernels::functions::Huber>("huber_loss", detail::at_least_float32("huber_loss", x),
                                                              detail::at_least_float32("huber_loss", target), {delta});
  return detail::reduced("huber_loss", losses, reduction);
}

SSLCAKE_INLINE Tensor bce_with_logits(const Tensor& x, const Tensor& target, double positive_weight, Reduction reduction) {
  const auto losses = detail::pair<kernels::functions::BinaryCrossEntropy>(
      "bce_with_logits", detail::at_least_float32("bce_with_logits", x), detail::at_least_float32("bce_with_logits", target),
      {positive_weight});
  return detail::reduced("bce_with_logits", losses, reduction);
}

SSLCAKE_INLINE Tensor kl_div(const Tensor& x, const Tensor& target, Reduction reduction, bool log_target) {
  const Tensor a = detail::at_least_float32("kl_div", x), b = detail::at_least_float32("kl_div", target);
  const auto losses = log_target ? detail::pair<kernels::functions::KlDivergenceOfLog>("kl_div", a, b)
                                 : detail::pair<kernels::functions::KlDivergence>("kl_div", a, b);
  return detail::reduced("kl_div", losses, reduction);
}

// y = x/n with n = ‖x‖:  dx = (dy − y Σ dy y)/n.  Where the norm is below eps, n is constant: dx = dy/eps.
SSLCAKE_INLINE Tensor normalize(const Tensor& x, int axis, double eps) {
  detail::check_real("normalize", x);
  if (!(eps > 0)) fail("normalize", "expected eps > 0, got ", eps);
  const auto line = detail::split_at("normalize", x.shape(), axis);
  Tensor y = empty_like(x), norms(Shape{line.outer, line.inner}, x.dtype(), x.device());
  if (detail::on_cuda("normalize", x)) {
    detail::expect_float32_on_cuda("normalize", x);
    kernels::cuda::table().losses.normalize(line.outer, line.extent, line.inner, static_cast<float>(eps),
                                            static_cast<const float*>(x.address()), static_cast<float*>(y.mutable_address()),
                                            static_cast<float*>(norms.mutable_address()));
  } else dispatch_real(x.dtype(), "normalize", [&](auto zero) {
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
    if (detail::on_cuda("normalize", dx, norms)) {
      kernels::cuda::table().losses.normalize_grad(
          line.outer, line.extent, line.inner, static_cast<float>(eps), static_cast<const float*>(sy.get().address()),
          static_cast<const float*>(b.grad().address()), static_cast<const float*>(norms.address()),
          static_cast<float*>(dx.mutable_address()));
    } else dispatch_real(dx.dtype(), "normalize", [&](auto zero) {
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
    return normalize(whole ? t : add(t, zeros(shape, t.dtype(), t.device())), axis, eps);
  };
  return sum(mul(unit(x), unit(y)), {axis});
}

}  // namespace sslcake::inline v0::ops
