#pragma once

#include <algorithm>
#include <array>
#include <limits>

#include "../core/threads.hpp"
#include "axis.hpp"
#include "broadcast.hpp"
#include "elementwise.hpp"
#include "loops.hpp"
#include "on_device.hpp"
#include "reduce.hpp"

namespace sslcake::inline v0::ops {
namespace detail {

/// Which dimensions are reduced, and the shapes that result.
struct ReducePlan {
  std::array<bool, Shape::capacity> reduced{};
  Shape kept, squeezed;    // with extents of 1, and without them
  std::int64_t count = 1;  // elements that make one result
};

inline ReducePlan reduce_plan(const char* op, const Shape& shape, const std::vector<int>& axes) {
  ReducePlan plan;
  for (const int axis : axes) {
    bool& r = plan.reduced[static_cast<std::size_t>(shape.axis(axis, op))];
    if (r) fail(op, "expected each axis once, got ", axis, " twice for shape ", shape);
    r = true;
  }
  for (int i = 0; i < shape.rank(); ++i) {
    const bool reduced = axes.empty() || plan.reduced[static_cast<std::size_t>(i)];
    plan.reduced[static_cast<std::size_t>(i)] = reduced;
    plan.kept.push_back(reduced ? 1 : shape[i]);
    if (reduced) plan.count *= shape[i];
    else plan.squeezed.push_back(shape[i]);
  }
  return plan;
}

/// Runs pass(outer, extent, inner, from) -> Tensor for each group of neighbouring reduced dimensions, last group first.
template <class Pass>
Tensor reduce_groups(const Tensor& x, const ReducePlan& plan, Pass&& pass) {
  if (x.rank() == 0) return x.clone();  // nothing to reduce, but a result of its own
  Tensor t = x.detach();
  Shape shape = x.shape();
  for (int end = shape.rank(); end > 0;) {
    if (!plan.reduced[static_cast<std::size_t>(end - 1)]) { --end; continue; }
    int begin = end;
    while (begin > 0 && plan.reduced[static_cast<std::size_t>(begin - 1)]) --begin;
    t = pass(shape.span(0, begin), shape.span(begin, end), shape.span(end, shape.rank()), t);
    for (int i = begin; i < end; ++i) shape[i] = 1;
    end = begin;
  }
  return t.alias(plan.kept);
}

/// Σ of n neighbours: eight running sums over short blocks (which compilers turn into vector code), totals in double.
template <class T>
double sum_row(const T* x, std::int64_t n) {
  double total = 0;
  while (n > 0) {
    const auto block = std::min<std::int64_t>(n, 256);
    T lane[8] = {};
    std::int64_t i = 0;
    for (; i + 8 <= block; i += 8)
      for (int j = 0; j < 8; ++j) lane[j] += x[i + j];
    double rest = 0;
    for (; i < block; ++i) rest += static_cast<double>(x[i]);
    for (const T v : lane) rest += static_cast<double>(v);
    total += rest;
    x += block;
    n -= block;
  }
  return total;
}

/// sums[i] += Σ_r x[r][i] over n rows of `inner` elements: short runs of rows in T (in `run`), their sums in double.
template <class T>
void sum_rows(const T* x, std::int64_t n, std::int64_t inner, T* run, double* sums) {
  for (std::int64_t r = 0; r < n;) {
    const auto last = std::min(n, r + 32);
    std::copy_n(x + r * inner, inner, run);
    for (++r; r < last; ++r) {
      const T* row = x + r * inner;
      for (std::int64_t i = 0; i < inner; ++i) run[i] += row[i];
    }
    for (std::int64_t i = 0; i < inner; ++i) sums[i] += static_cast<double>(run[i]);
  }
}

template <class T>
void sum_pass(std::int64_t outer, std::int64_t extent, std::int64_t inner, const T* x, T* y) {
  // Few large sums are cut into pieces, so that all threads have work; many small ones are shared out whole.
  const std::int64_t pieces =
      outer >= 32 ? 1 : std::max<std::int64_t>(1, std::min(extent, chunk_count(extent * inner, 1 << 15, 32)));
  if (inner == 1 && pieces == 1) {
    parallel_for(outer, items_per_chunk(extent),
                 [&](std::int64_t begin, std::int64_t end) {
                   for (auto o = begin; o < end; ++o) y[o] = static_cast<T>(sum_row(x + o * extent, extent));
                 });
    return;
  }
  Workspace<double> partial(outer * pieces * inner);
  std::fill_n(partial.data(), partial.size(), 0.0);
  parallel_for(outer * pieces, items_per_chunk(extent * inner / pieces),
               [&](std::int64_t first, std::int64_t last) {
    Workspace<T> run(inner);
    for (auto job = first; job < last; ++job) {
      const auto o = job / pieces, p = job % pieces, begin = extent * p / pieces, end = extent * (p + 1) / pieces;
      const T* from = x + (o * extent + begin) * inner;
      if (inner == 1) partial[job] = sum_row(from, end - begin);
      else sum_rows(from, end - begin, inner, run.data(), partial.data() + job * inner);
    }
  });
  for (std::int64_t o = 0; o < outer; ++o)
    for (std::int64_t i = 0; i < inner; ++i) {
      double total = 0;
      for (std::int64_t p = 0; p < pieces; ++p) total += partial[(o * pieces + p) * inner + i];
      y[o * inner + i] = static_cast<T>(total);
    }
}

SSLCAKE_INLINE Tensor sum_plain(const Tensor& x, const std::vector<int>& axes) {
  return reduce_groups(x, reduce_plan("sum", x.shape(), axes),
                       [](std::int64_t outer, std::int64_t extent, std::int64_t inner, const Tensor& t) {
                         Tensor y(Shape{outer, inner}, t.dtype(), t.device());
                         if (on_cuda("sum", t)) {
                           expect_float32_on_cuda("sum", t);
                           kernels::cuda::table().reduce.sum(outer, extent, inner, static_cast<const float*>(t.address()),
                                                             static_cast<float*>(y.mutable_address()));
                           return y;
                         }
                         dispatch_real(t.dtype(), "sum", [&](auto zero) {
                           using T = decltype(zero);
                           sum_pass(outer, extent, inner, t.data<T>(), y.mutable_data<T>());
                         });
                         return y;
                       });
}

/// The largest or smallest of `sign`·x for sign = 1 or −1.
inline Tensor extreme_plain(const Tensor& x, const ReducePlan& plan, int sign) {
  return reduce_groups(x, plan, [sign](std::int64_t outer, std::int64_t extent, std::int64_t inner, const Tensor& t) {
    Tensor y(Shape{outer, inner}, t.dtype(), t.device());
    if (on_cuda("max", t)) {
      expect_float32_on_cuda("max", t);
      kernels::cuda::table().reduce.extreme(sign, outer, extent, inner, static_cast<const float*>(t.address()),
                                            static_cast<float*>(y.mutable_address()));
      return y;
    }
    dispatch_real(t.dtype(), "max", [&](auto zero) {
      using T = decltype(zero);
      const T* from = t.data<T>();
      T* to = y.mutable_data<T>();
      parallel_for(outer, items_per_chunk(extent * inner),
                   [&](std::int64_t begin, std::int64_t end) {
                     for (auto o = begin; o < end; ++o) {
                       T* best = to + o * inner;
                       std::copy_n(from + o * extent * inner, inner, best);
                       for (std::int64_t r = 1; r < extent; ++r) {
                         const T* row = from + (o * extent + r) * inner;
                         for (std::int64_t i = 0; i < inner; ++i)
                           if ((sign > 0 ? row[i] > best[i] : row[i] < best[i]) || row[i] != row[i])
                             best[i] = row[i];  // NaN wins
                       }
                     }
                   });
    });
    return y;
  });
}

inline Tensor extreme(const char* op, const Tensor& x, const ReducePlan& plan, int sign) {
  if (plan.count == 0) fail(op, "expected at least one element to choose from, got shape ", x.shape());
  return extreme_plain(x, plan, sign);
}

/// Elements that are equal to the result share its gradient.
inline void extreme_backward(autograd::Backward& b, const Tensor& x, const Tensor& y, const std::vector<int>& axes) {
  const Tensor mask = arithmetic(Arithmetic::equal, "max", x, y);
  const Tensor share = arithmetic(Arithmetic::div, "max", b.grad().alias(y.shape()), sum_plain(mask, axes));
  b.give(0, arithmetic(Arithmetic::mul, "max", mask, share));
}

}  // namespace detail

// dx = dy, repeated.
SSLCAKE_INLINE Tensor sum(const Tensor& x, const std::vector<int>& axes, bool keep) {
  detail::check_real("sum", x);
  const auto plan = detail::reduce_plan("sum", x.shape(), axes);
  Tensor y = detail::sum_plain(x, axes).alias(keep ? plan.kept : plan.squeezed);
  return autograd::record("sum", {x}, y, [shape = x.shape(), kept = plan.kept](autograd::Backward& b) {
    b.give(0, detail::repeat_to(b.grad().alias(kept), shape));
  });
}

// dx = dy / n, repeated.
SSLCAKE_INLINE Tensor mean(const Tensor& x, const std::vector<int>& axes, bool keep) {
  using detail::Arithmetic;
  detail::check_real("mean", x);
  const auto plan = detail::reduce_plan("mean", x.shape(), axes);
  const Tensor n = scalar(static_cast<double>(plan.count), x.dtype(), x.device());
  Tensor y = detail::arithmetic(Arithmetic::div, "mean", detail::sum_plain(x, axes), n).alias(keep ? plan.kept : plan.squeezed);
  return autograd::record("mean", {x}, y, [shape = x.shape(), kept = plan.kept, n](autograd::Backward& b) {
    b.give(0, detail::repeat_to(detail::arithmetic(Arithmetic::div, "mean", b.grad().alias(kept), n), shape));
  });
}

SSLCAKE_INLINE Tensor max(const Tensor& x, const std::vector<int>& axes, bool keep) {
  detail::check_real("max", x);
  const auto plan = detail::reduce_plan("max", x.shape(), axes);
  const Tensor y = detail::extreme("max", x, plan, 1);
  return autograd::record("max", {x}, y.alias(keep ? plan.kept : plan.squeezed),
                          [sx = autograd::Saved(x), sy = autograd::Saved(y), axes](autograd::Backward& b) {
    detail::extreme_backward(b, sx.get(), sy.get(), axes);
  });
}

SSLCAKE_INLINE Tensor min(const Tensor& x, const std::vector<int>& axes, bool keep) {
  detail::check_real("min", x);
  const auto plan = detail::reduce_plan("min", x.shape(), axes);
  const Tensor y = detail::extreme("min", x, plan, -1);
  return autograd::record("min", {x}, y.alias(keep ? plan.kept : plan.squeezed),
                          [sx = autograd::Saved(x), sy = autograd::Saved(y), axes](autograd::Backward& b) {
    detail::extreme_backward(b, sx.get(), sy.get(), axes);
  });
}

// Two passes: first the mean, then the squares of the differences, which loses no digits where the mean is large.
// dx = 2 (x − mean) / (n − correction) · dy; the mean's own share cancels, because Σ (x − mean) = 0.
SSLCAKE_INLINE Tensor variance(const Tensor& x, const std::vector<int>& axes, bool keep, double correction) {
  using detail::Arithmetic;
  detail::check_real("variance", x);
  const auto plan = detail::reduce_plan("variance", x.shape(), axes);
  const double n = static_cast<double>(plan.count);
  const Tensor mean =
      detail::arithmetic(Arithmetic::div, "variance", detail::sum_plain(x, axes), scalar(n, x.dtype(), x.device()));
  const Tensor centred = detail::arithmetic(Arithmetic::sub, "variance", x, mean);
  // As PyTorch: with n <= correction the result is infinite or NaN, not negative.
  const Tensor divisor = scalar(n > correction ? n - correction : 0.0, x.dtype(), x.device());
  const Tensor y = detail::arithmetic(Arithmetic::div, "variance",
      detail::sum_plain(detail::arithmetic(Arithmetic::mul, "variance", centred, centred), axes), divisor);
  return autograd::record("variance", {x}, y.alias(keep ? plan.kept : plan.squeezed),
                          [sx = autograd::Saved(x), mean, divisor, kept = plan.kept](autograd::Backward& b) {
    const Tensor twice = detail::arithmetic(Arithmetic::div, "variance", b.grad().alias(kept), divisor);
    const Tensor factor = detail::arithmetic(Arithmetic::add, "variance", twice, twice);
    b.give(0, detail::arithmetic(Arithmetic::mul, "variance", detail::arithmetic(Arithmetic::sub, "variance", sx.get(), mean),
                                 factor));
  });
}

SSLCAKE_INLINE Tensor argmax(const Tensor& x, int axis, bool keep) {
  detail::check_floating("argmax", x);
  const auto [outer, extent, inner] = detail::split_at("argmax", x.shape(), axis);
  Shape shape;
  for (int i = 0, a = x.shape().axis(axis, "argmax"); i < x.rank(); ++i) {
    if (i != a) shape.push_back(x.dim(i));
    else if (keep) shape.push_back(1);
  }
  if (extent == 0) fail("argmax", "expected at least one element to choose from, got shape ", x.shape());
  Tensor y(shape, DType::int64, x.device());
  if (detail::floats_on_cuda("argmax", x)) {
    kernels::cuda::table().reduce.argmax(x.dtype(), outer, extent, inner, x.address(),
                                         static_cast<std::int64_t*>(y.mutable_address()));
    return y;
  }
  auto* to = y.mutable_data<std::int64_t>();
  dispatch_floating(x.dtype(), "argmax", [&, outer = outer, extent = extent, inner = inner](auto zero) {
    using T = decltype(zero);
    using C = compute_t<T>;
    const T* from = x.data<T>();
    for (std::int64_t o = 0; o < outer; ++o)
      for (std::int64_t i = 0; i < inner; ++i) {
        const T* column = from + o * extent * inner + i;
        std::int64_t best = 0;
        for (std::int64_t r = 1; r < extent; ++r) {
          const C value = static_cast<C>(column[r * inner]), top = static_cast<C>(column[best * inner]);
          if (value > top || (value != value && top == top)) best = r;  // the first NaN, if there is one
        }
        to[o * inner + i] = best;
      }
  });
  return y;
}

}  // namespace sslcake::inline v0::ops
